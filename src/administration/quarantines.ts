/**
 * REST over quarantines: `/api/v1/quarantines`. While an identity is in quarantine it gets no order and no certificate, on any server.
 * What it has already stays valid. Operator token required.
 */
import type { FastifyInstance } from "fastify";
import { type Static, Type } from "typebox";

import { problem } from "../problem/problem.ts";
import { pageLimit, readPage } from "../rest/page.ts";
import { nameText, oneLine } from "../rest/parameters.ts";
import { canonicalDnsName, ipToBytes, NameError } from "../x509/names.ts";
import { parsePermanentIdentifier, PermanentIdentifierError } from "../x509/permanentIdentifier.ts";
import { parseSpiffeId, SpiffeIdError } from "../x509/spiffeId.ts";
import type { Quarantine, QuarantineStore } from "./quarantinePorts.ts";

const quarantineSchema = Type.Object(
  {
    reason: oneLine(1000),
    spiffeId: Type.Optional(nameText(2048)),
    permanentIdentifier: Type.Optional(nameText(512)),
    dns: Type.Optional(Type.Array(nameText(255), { minItems: 1, maxItems: 1000, uniqueItems: true })),
    ip: Type.Optional(Type.Array(nameText(64), { minItems: 1, maxItems: 1000, uniqueItems: true })),
  },
  { additionalProperties: false, minProperties: 2 },
);
const quarantineId = "^[1-9][0-9]{0,14}$";
const listQuery = Type.Object(
  {
    open: Type.Optional(Type.Enum(["true", "false"])),
    identity: Type.Optional(nameText(2048)),
    limit: pageLimit,
    cursor: Type.Optional(Type.String({ pattern: quarantineId })),
  },
  { additionalProperties: false },
);

interface QuarantinedNames {
  readonly dns: readonly string[];
  readonly ip: readonly string[];
  readonly uri: readonly string[];
  readonly permanentIdentifiers: readonly string[];
}

export interface QuarantineRoutesOptions {
  readonly store: QuarantineStore;
  readonly externalUrl: string;
  /** The name of the identity that has these names. */
  readonly identityNameOf: (names: QuarantinedNames) => string;
}

export function quarantineRoutes({ store, externalUrl, identityNameOf }: QuarantineRoutesOptions) {
  return async function plugin(server: FastifyInstance): Promise<void> {
    server.post<{ Body: Static<typeof quarantineSchema> }>(
      "/quarantines",
      { schema: { body: quarantineSchema } },
      async ({ body }, reply) => {
        const { created, quarantine } = await store.createQuarantine(identityNameOf(namesOf(body)), body.reason);
        reply.code(created ? 201 : 200);
        reply.header("location", `${externalUrl}/api/v1/quarantines/${quarantine.id}`);
        return quarantineJson(quarantine);
      },
    );

    server.get<{ Querystring: Static<typeof listQuery> }>(
      "/quarantines",
      { schema: { querystring: listQuery } },
      async ({ query }) => {
        const filter = { open: query.open === undefined ? undefined : query.open === "true", identity: query.identity };
        const after = query.cursor === undefined ? undefined : Number(query.cursor);
        const { entries, next } = await readPage(
          query.limit,
          (most) => store.listQuarantines(filter, after, most),
          (last) => String(last.id),
        );
        return { quarantines: entries.map(quarantineJson), next };
      },
    );

    server.get<{ Params: { id: string } }>("/quarantines/:id", async ({ params }) =>
      quarantineJson(required(await store.readQuarantine(idOf(params.id)))),
    );

    server.delete<{ Params: { id: string } }>("/quarantines/:id", async ({ params }) =>
      quarantineJson(required(await store.liftQuarantine(idOf(params.id)))),
    );
  };
}

/** As certificates have them: a SPIFFE ID alone, or a set of names. @throws {Problem} restInvalid */
function namesOf({ spiffeId, permanentIdentifier: device, dns = [], ip = [] }: Static<typeof quarantineSchema>) {
  const kinds = [spiffeId !== undefined, device !== undefined, dns.length + ip.length > 0];
  if (kinds.filter(Boolean).length > 1)
    throw problem(
      "restInvalid",
      "an identity has either spiffeId, or permanentIdentifier, or dns and ip; the first of them alone names it",
    );
  try {
    if (spiffeId !== undefined) parseSpiffeId(spiffeId);
    if (device !== undefined) parsePermanentIdentifier(device);
    for (const address of ip) ipToBytes(address);
    const names = dns.map((name) => canonicalDnsName(name, { wildcard: true }));
    const of = (name: string | undefined): string[] => (name === undefined ? [] : [name]);
    return { dns: names, ip, uri: of(spiffeId), permanentIdentifiers: of(device) };
  } catch (error) {
    if (error instanceof SpiffeIdError || error instanceof NameError || error instanceof PermanentIdentifierError)
      throw problem("restInvalid", error.message);
    throw error;
  }
}

const idOf = (text: string): number => required(new RegExp(quarantineId).test(text) ? Number(text) : undefined);

function required<T>(found: T | undefined): T {
  if (found === undefined) throw problem("restNotFound", "there is no such quarantine");
  return found;
}

const quarantineJson = (one: Quarantine): object => ({
  id: String(one.id),
  identity: one.identity,
  reason: one.reason,
  createdBy: one.createdBy,
  createdAt: one.createdAt.toISOString(),
  liftedBy: one.liftedBy,
  liftedAt: one.liftedAt?.toISOString() ?? null,
});
