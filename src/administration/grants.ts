/**
 * REST over grants: `/api/v1/grants`. Those of the configuration can be read here, those of the database are written here too. A version
 * is never changed: a change makes another one. Operator token required.
 */
import type { FastifyInstance } from "fastify";
import { type Static, Type } from "typebox";

import { couldAllow } from "../authority/grantDecision.ts";
import { GrantRefused } from "../authority/grantReader.ts";
import type { Grant } from "../authority/grants.ts";
import type { StandingGrant, StandingGrants } from "../authority/standingGrants.ts";
import { problem } from "../problem/problem.ts";
import { entityTag, readIfMatch, readIfNoneMatch } from "../rest/conditional.ts";
import { pageLimit, readPage } from "../rest/page.ts";
import { nameText, oneLine } from "../rest/parameters.ts";
import { standingJson, versionJson } from "./grantJson.ts";
import type { GrantStore, GrantVersion } from "./grantPorts.ts";

const namePattern = "^[a-z0-9][a-z0-9-]{0,63}$";
const isName = new RegExp(namePattern);
const isVersion = /^[0-9a-f]{16}$/;

/** What a grant may hold is checked key by key in the handler, which names the key. */
const putBody = Type.Object(
  {
    grant: Type.Object({}, { additionalProperties: true }),
    comment: Type.Optional(oneLine(1000)),
    dryRun: Type.Optional(Type.Boolean()),
  },
  { additionalProperties: false },
);
const listQuery = Type.Object(
  {
    name: Type.Optional(Type.String({ pattern: namePattern })),
    source: Type.Optional(nameText(40)),
    spiffeId: Type.Optional(nameText(2048)),
    owner: Type.Optional(nameText(200)),
    origin: Type.Optional(Type.Enum(["configuration", "database"])),
    state: Type.Optional(Type.Enum(["active", "inactive"])),
    limit: pageLimit,
    cursor: Type.Optional(Type.String({ pattern: "^[cd]:[a-z0-9][a-z0-9-]{0,63}$", maxLength: 70 })),
  },
  { additionalProperties: false },
);
const versionsQuery = Type.Object(
  { limit: pageLimit, cursor: Type.Optional(Type.String({ pattern: "^[0-9]{1,15}$" })) },
  { additionalProperties: false },
);
const removeQuery = Type.Object({}, { additionalProperties: false });

export interface GrantRoutesOptions {
  readonly store: GrantStore;
  readonly standing: StandingGrants;
  /** Reads a grant for the database by the sources and profiles of now. @throws {GrantRefused} */
  readonly read: (name: string, written: object) => Grant;
  readonly externalUrl: string;
  /** Names that may stand in the database at the same time. */
  readonly most: number;
}

export function grantRoutes(options: GrantRoutesOptions) {
  const { store, standing } = options;
  return async function plugin(server: FastifyInstance): Promise<void> {
    server.get<{ Querystring: Static<typeof listQuery> }>(
      "/grants",
      { schema: { querystring: listQuery } },
      async ({ query }) => {
        await standing.reread();
        const found = after(query.cursor, standing.all()).filter((grant) => fits(grant, query));
        const { entries, next } = await readPage(
          query.limit,
          async (most) => found.slice(0, most),
          ({ origin, name }) => `${origin === "configuration" ? "c" : "d"}:${name}`,
        );
        return { grants: entries.map(standingJson), next };
      },
    );

    server.get<{ Params: { name: string } }>("/grants/:name", async ({ params }, reply) => {
      await standing.reread();
      const found = standing.all().find(({ name }) => name === params.name);
      if (found === undefined) throw noSuchGrant();
      reply.header("etag", entityTag(found.version));
      return standingJson(found);
    });

    server.put<{ Params: { name: string }; Body: Static<typeof putBody> }>(
      "/grants/:name",
      { schema: { body: putBody } },
      async ({ params, body, headers }, reply) => {
        const ifMatch = readIfMatch(headers["if-match"]);
        const create = readIfNoneMatch(headers["if-none-match"]);
        if (create && ifMatch !== undefined)
          throw problem("restInvalid", "If-Match and If-None-Match exclude each other");
        const grant = readWritten(params.name, body.grant, options);
        if (standing.all().some(({ name, origin }) => name === grant.name && origin === "configuration"))
          throw inConfiguration(grant.name);
        if (body.dryRun === true)
          return { dryRun: true, name: grant.name, version: grant.version, grant: grant.configuration };
        const { made, version } = await put(grant, { comment: body.comment ?? null, ifMatch, create }, options);
        await standing.reread();
        reply.code(made && ifMatch === undefined ? 201 : 200).header("etag", entityTag(version.version));
        reply.header("location", `${options.externalUrl}/api/v1/grants/${grant.name}`);
        return versionJson(version);
      },
    );

    server.delete<{ Params: { name: string }; Querystring: Static<typeof removeQuery> }>(
      "/grants/:name",
      { schema: { querystring: removeQuery } },
      async ({ params: { name }, headers }, reply) => {
        const expected = readIfMatch(headers["if-match"]);
        const removed = isName.test(name) ? await store.removeGrant(name, expected ?? ["*"], "operator") : undefined;
        await standing.reread();
        if (removed !== undefined) return reply.code(204).send();
        const left = standing.all().find((one) => one.name === name);
        if (left?.origin === "configuration") throw inConfiguration(name);
        if (expected !== undefined) throw changedMeanwhile();
        throw noSuchGrant();
      },
    );

    versionRoutes(server, store);
  };
}

function versionRoutes(server: FastifyInstance, store: GrantStore): void {
  server.get<{ Params: { name: string }; Querystring: Static<typeof versionsQuery> }>(
    "/grants/:name/versions",
    { schema: { querystring: versionsQuery } },
    async ({ params: { name }, query }) => {
      if (!isName.test(name)) throw noSuchGrant();
      const before = query.cursor === undefined ? undefined : Number(query.cursor);
      const { entries, next } = await readPage(
        query.limit,
        (most) => store.listVersions(name, before, most),
        ({ sequence }) => String(sequence),
      );
      if (entries.length === 0 && before === undefined) throw noSuchGrant();
      return { versions: entries.map(versionJson), next };
    },
  );

  server.get<{ Params: { name: string; version: string } }>("/grants/:name/versions/:version", async ({ params }) => {
    const { name, version } = params;
    const found = isName.test(name) && isVersion.test(version) ? await store.readVersion(name, version) : undefined;
    if (found === undefined) throw problem("restNotFound", "there is no such version of that grant");
    return versionJson(found);
  });
}

/** @throws {Problem} restInvalid with `faults`, each with its key */
function readWritten(name: string, written: object, { read }: GrantRoutesOptions): Grant {
  if (!isName.test(name))
    throw problem("restInvalid", "a grant's name has up to 64 lower-case letters, digits and dashes");
  try {
    return read(name, written);
  } catch (error) {
    if (!(error instanceof GrantRefused)) throw error;
    throw problem("restInvalid", error.faults[0]?.detail ?? "the grant is not valid", {
      members: { faults: error.faults },
    });
  }
}

interface Condition {
  readonly comment: string | null;
  readonly ifMatch: readonly string[] | undefined;
  readonly create: boolean;
}

/**
 * @returns the version that stands now, and whether it was made just now
 * @throws {Problem} restPreconditionFailed · restPreconditionRequired · restConflict
 */
async function put(
  { name, version, configuration, owner }: Grant,
  { comment, ifMatch: expected, create }: Condition,
  { store, most }: GrantRoutesOptions,
): Promise<{ made: boolean; version: GrantVersion }> {
  const written = { name, version, configuration, owner: owner ?? null, comment, by: "operator", expected, most };
  const made = await store.putGrant(written);
  if (made !== undefined) return { made: true, version: made };
  const stands = await store.readStanding(name);
  if (create && stands !== undefined) throw changedMeanwhile();
  const isExpected = expected === undefined || expected.includes("*") || expected.includes(version);
  if (stands?.version === version && isExpected) return { made: false, version: stands };
  if (expected !== undefined) throw changedMeanwhile();
  if (stands === undefined)
    throw problem(
      "restConflict",
      `the grant is being changed by somebody else, or there are ${most} grants in the database, which is the most`,
    );
  throw problem("restPreconditionRequired", "the grant exists: say with If-Match which version is to be replaced", {
    headers: { etag: entityTag(stands.version) },
  });
}

/** What follows the one that the cursor names; a grant that is gone meanwhile is passed over to where it would stand. */
function after(cursor: string | undefined, all: readonly StandingGrant[]): readonly StandingGrant[] {
  if (cursor === undefined) return all;
  const name = cursor.slice(2);
  if (cursor.startsWith("d:")) return all.filter((one) => one.origin === "database" && one.name > name);
  return all.slice(all.findIndex((one) => one.origin === "configuration" && one.name === name) + 1);
}

function fits({ name, configuration, owner, origin, grant }: StandingGrant, query: Static<typeof listQuery>): boolean {
  const { source, allOf = [] } = configuration as { source?: string; allOf?: readonly { source?: string }[] };
  return (
    (query.name ?? name) === name &&
    (query.source === undefined || [source, ...allOf.map((one) => one.source)].includes(query.source)) &&
    (query.owner === undefined || query.owner === owner) &&
    (query.origin ?? origin) === origin &&
    (query.state === undefined || (query.state === "active") === (grant !== undefined)) &&
    (query.spiffeId === undefined || (grant !== undefined && couldAllow(grant, query.spiffeId)))
  );
}

const noSuchGrant = () => problem("restNotFound", "there is no such grant");
const changedMeanwhile = () =>
  problem("restPreconditionFailed", "another version of the grant stands now: read it, and change that one");
const inConfiguration = (name: string) =>
  problem("restConflict", `the grant ${name} is one of the configuration: it is changed there`);
