/**
 * REST over external account keys (RFC 8555 §7.3.4): `/api/v1/external-account-keys`. An operator hands out key id and MAC key; whoever
 * has both may register an account. The MAC key is in the reply that made it and nowhere else. Operator token required.
 */
import { randomBytes } from "node:crypto";
import type { FastifyInstance } from "fastify";
import { type Static, Type } from "typebox";

import { problem } from "../problem/problem.ts";
import { pageLimit, readPage } from "../rest/page.ts";
import { oneLine, readTime, time } from "../rest/parameters.ts";
import { readAllowed } from "./allowedIdentifiers.ts";
import type { ExternalAccountKey, ExternalAccountKeyStore } from "./externalAccountPorts.ts";

const idPattern = /^[A-Za-z0-9._~-]{1,100}$/;
const macKeyOctets = 32;
const name = Type.String({ pattern: "^[a-z][a-z0-9-]{0,39}$" });
const allowed = Type.Array(Type.String({ minLength: 1, maxLength: 2048 }), { minItems: 1, maxItems: 100 });

const keySchema = Type.Object(
  {
    directory: Type.Optional(name),
    description: Type.Optional(oneLine(200)),
    uses: Type.Optional(
      Type.Union([Type.Integer({ minimum: 1, maximum: 1_000_000 }), Type.Null()], {
        description: "Accounts that it may make; null for any number. Default: 1.",
      }),
    ),
    expiresAt: Type.Optional(time),
    identifiers: Type.Optional(
      Type.Object(
        {
          dns: Type.Optional(allowed),
          ip: Type.Optional(allowed),
          spiffe: Type.Optional(allowed),
          permanentIdentifiers: Type.Optional(allowed),
        },
        { additionalProperties: false, minProperties: 1 },
      ),
    ),
    profiles: Type.Optional(Type.Array(name, { minItems: 1, maxItems: 100, uniqueItems: true })),
  },
  { additionalProperties: false },
);

const listQuery = Type.Object(
  {
    directory: Type.Optional(name),
    usable: Type.Optional(Type.Enum(["true", "false"])),
    limit: pageLimit,
    cursor: Type.Optional(Type.String({ pattern: idPattern.source })),
  },
  { additionalProperties: false },
);

const revokeQuery = Type.Object(
  { deactivateAccounts: Type.Optional(Type.Enum(["true", "false"])) },
  { additionalProperties: false },
);

/** Accounts that a key's own page names, the newest. */
const accountsShown = 100;

export interface ExternalAccountRoutesOptions {
  readonly store: ExternalAccountKeyStore;
  readonly externalUrl: string;
  readonly trustDomain: string;
  /** Names of the profiles of each directory. */
  readonly directories: ReadonlyMap<string, ReadonlySet<string>>;
  readonly now: () => Date;
  readonly newId: () => string;
}

export function externalAccountRoutes(options: ExternalAccountRoutesOptions) {
  const { store, externalUrl, now, newId } = options;
  return async function plugin(server: FastifyInstance): Promise<void> {
    server.post<{ Body: Static<typeof keySchema> }>(
      "/external-account-keys",
      { schema: { body: keySchema } },
      async ({ body }, reply) => {
        const { description = null, uses: usesMax = 1, identifiers } = body;
        const macKey = randomBytes(macKeyOctets);
        const made = await store.createKey({
          id: newId(),
          ...placeOf(body, options),
          macKey,
          description,
          identifiers: identifiers === undefined ? null : readAllowed(identifiers, options.trustDomain),
          usesMax,
          expiresAt: expiryOf(body.expiresAt, now()),
        });
        if (made === undefined) throw new Error("an id was given out twice");
        reply.code(201).header("location", `${externalUrl}/api/v1/external-account-keys/${made.id}`);
        return { ...keyJson(made), macKey: macKey.toString("base64url") };
      },
    );

    server.get<{ Querystring: Static<typeof listQuery> }>(
      "/external-account-keys",
      { schema: { querystring: listQuery } },
      async ({ query: { directory, usable, cursor, ...query } }) => {
        const filter = {
          ...(directory !== undefined && { directory }),
          ...(usable !== undefined && { usable: usable === "true" }),
        };
        const { entries, next } = await readPage(
          query.limit,
          (most) => store.listKeys(filter, cursor, most),
          (last) => last.id,
        );
        return { externalAccountKeys: entries.map(keyJson), next };
      },
    );

    server.get<{ Params: { id: string } }>("/external-account-keys/:id", async ({ params }) => {
      const key = required(await store.readKey(idOf(params.id)));
      return { ...keyJson(key), accounts: await store.accountsOf(key.id, accountsShown) };
    });

    server.post<{ Params: { id: string }; Querystring: Static<typeof revokeQuery> }>(
      "/external-account-keys/:id/revoke",
      { schema: { querystring: revokeQuery } },
      async ({ params, query }) => {
        const deactivateAccounts = query.deactivateAccounts === "true";
        const { key, deactivatedAccounts } = required(await store.revokeKey(idOf(params.id), { deactivateAccounts }));
        return { ...keyJson(key), ...(deactivateAccounts && { deactivatedAccounts }) };
      },
    );
  };
}

/** Directory and profiles, which must be there. @throws {Problem} restInvalid */
function placeOf(
  { directory = "default", profiles }: Static<typeof keySchema>,
  { directories }: Pick<ExternalAccountRoutesOptions, "directories">,
): { directory: string; profiles: readonly string[] | null } {
  const has = directories.get(directory);
  if (has === undefined) throw problem("restInvalid", `directory: there is none of the name ${directory}`);
  const unknown = profiles?.find((profile) => !has.has(profile));
  if (unknown !== undefined) throw problem("restInvalid", `profiles: directory ${directory} has no profile ${unknown}`);
  return { directory, profiles: profiles ?? null };
}

/** @throws {Problem} restInvalid */
function expiryOf(text: string | undefined, now: Date): Date | null {
  if (text === undefined) return null;
  const expiresAt = readTime(text, "expiresAt");
  if (expiresAt <= now) throw problem("restInvalid", "expiresAt lies in the past");
  return expiresAt;
}

function idOf(text: string): string {
  if (!idPattern.test(text)) throw noSuchKey();
  return text;
}

function required<T>(found: T | undefined): T {
  if (found === undefined) throw noSuchKey();
  return found;
}

const noSuchKey = () => problem("restNotFound", "there is no such external account key");

function keyJson({ expiresAt, createdAt, revokedAt, ...key }: ExternalAccountKey): object {
  const { id, directory, description, identifiers, profiles, usesMax, uses, usable } = key;
  return {
    id,
    directory,
    description,
    usable,
    uses: { max: usesMax, made: uses },
    identifiers,
    profiles,
    expiresAt: expiresAt?.toISOString() ?? null,
    createdAt: createdAt.toISOString(),
    revokedAt: revokedAt?.toISOString() ?? null,
  };
}
