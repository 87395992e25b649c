/**
 * REST over external account keys (RFC 8555 §7.3.4): `/api/v1/external-account-keys`. An operator hands out key id and MAC key; whoever
 * has both may register an account. The MAC key is in the reply that made it and nowhere else. Operator token required.
 */
import { randomBytes } from "node:crypto";
import type { FastifyInstance } from "fastify";
import { type Static, Type } from "typebox";

import type { OperatorAccess } from "../access/operatorToken.ts";
import { problem } from "../problem/problem.ts";
import { parseRfc3339 } from "../x509/time.ts";
import { readAllowed } from "./allowedIdentifiers.ts";
import type { ExternalAccountKey, ExternalAccountKeyStore } from "./externalAccountPorts.ts";

const idPattern = /^[A-Za-z0-9._~-]{1,100}$/;
const macKeyOctets = 32;
const name = Type.String({ pattern: "^[a-z][a-z0-9-]{0,39}$" });
const entries = Type.Array(Type.String({ minLength: 1, maxLength: 2048 }), { minItems: 1, maxItems: 100 });

const keySchema = Type.Object(
  {
    directory: Type.Optional(name),
    description: Type.Optional(Type.String({ pattern: "^[^\\u0000-\\u001f\\u007f]+$", maxLength: 200 })),
    uses: Type.Optional(
      Type.Union([Type.Integer({ minimum: 1, maximum: 1_000_000 }), Type.Null()], {
        description: "Accounts that it may make; null for any number. Default: 1.",
      }),
    ),
    expiresAt: Type.Optional(Type.String({ maxLength: 40, description: "RFC 3339" })),
    identifiers: Type.Optional(
      Type.Object(
        { dns: Type.Optional(entries), ip: Type.Optional(entries), spiffe: Type.Optional(entries) },
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
    limit: Type.Optional(Type.String({ pattern: "^([1-9][0-9]{0,2}|1000)$" })),
    cursor: Type.Optional(Type.String({ pattern: idPattern.source })),
  },
  { additionalProperties: false },
);

const revokeQuery = Type.Object(
  { deactivateAccounts: Type.Optional(Type.Enum(["true", "false"])) },
  { additionalProperties: false },
);

/** Keys in a page where the request says nothing. */
const pageDefault = 100;
/** Accounts that a key's own page names, the newest. */
const accountsShown = 100;

export interface ExternalAccountRoutesOptions {
  readonly store: ExternalAccountKeyStore;
  readonly access: OperatorAccess;
  readonly externalUrl: string;
  readonly trustDomain: string;
  /** Names of the profiles of each directory. */
  readonly directories: ReadonlyMap<string, ReadonlySet<string>>;
  readonly now: () => Date;
  readonly newId: () => string;
}

export function externalAccountRoutes(options: ExternalAccountRoutesOptions) {
  const { store, access, externalUrl, now, newId } = options;
  return async function plugin(server: FastifyInstance): Promise<void> {
    server.addHook("onRequest", async (request, reply) => {
      access.require(request.headers.authorization);
      reply.header("cache-control", "no-store");
    });

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
      async ({ query: { directory, usable, limit, cursor } }) => {
        const size = limit === undefined ? pageDefault : Number(limit);
        const filter = {
          ...(directory !== undefined && { directory }),
          ...(usable !== undefined && { usable: usable === "true" }),
        };
        const found = await store.listKeys(filter, cursor, size + 1);
        const page = found.slice(0, size);
        return { externalAccountKeys: page.map(keyJson), ...(found.length > size && { next: page.at(-1)?.id }) };
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
  const time = parseRfc3339(text);
  if (time === undefined) throw problem("restInvalid", "expiresAt is not an RFC 3339 time");
  if (time <= now) throw problem("restInvalid", "expiresAt lies in the past");
  return time;
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
