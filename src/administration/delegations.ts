/**
 * REST over delegations: `/api/v1/delegations`. An operator ends a task, or everything that was delegated by somebody: what was issued for
 * it is revoked, and nothing more is issued. Operator token required.
 */
import type { FastifyInstance } from "fastify";
import { type Static, Type } from "typebox";

import { problem } from "../problem/problem.ts";
import { pageLimit, readPage } from "../rest/page.ts";
import { nameText, oneLine } from "../rest/parameters.ts";
import type { DelegationKind, DelegationStore, EndedSubject, Pseudonym } from "./delegationPorts.ts";

const named = {
  source: Type.String({ maxLength: 40 }),
  task: Type.Optional(nameText(1024)),
  delegator: Type.Optional(nameText(1024)),
};
const endSchema = Type.Object(
  { ...named, reason: oneLine(1000), dryRun: Type.Optional(Type.Boolean()) },
  { additionalProperties: false },
);
const resumeSchema = Type.Object(named, { additionalProperties: false });

const listQuery = Type.Object(
  { limit: pageLimit, cursor: Type.Optional(Type.String({ pattern: "^[0-9a-f]{72}$" })) },
  { additionalProperties: false },
);

export interface DelegationRoutesOptions {
  readonly store: DelegationStore;
  readonly pseudonym: Pseudonym;
  /** Refs of the configured sources. */
  readonly sources: readonly string[];
  readonly now: () => Date;
  readonly newId: () => string;
}

/** The routes, for whoever mounts them. */
export function delegationRoutes({ store, pseudonym, sources, now, newId }: DelegationRoutesOptions) {
  return async function plugin(server: FastifyInstance): Promise<void> {
    server.post<{ Body: Static<typeof endSchema> }>(
      "/delegations/end",
      { schema: { body: endSchema } },
      async ({ body: { reason, dryRun = true, ...asked } }) => {
        const which = readDelegation(asked, sources, pseudonym);
        if (dryRun) {
          const { certificates, serials } = await store.coverage(which.pseudonym, now());
          return { dryRun, kind: which.kind, source: which.source, certificates, serials: serials.map(hex) };
        }
        const { revoked } = await store.end({ ...which, id: newId(), reason }, now());
        return {
          dryRun,
          kind: which.kind,
          source: which.source,
          certificates: revoked.length,
          serials: revoked.map(hex),
        };
      },
    );

    server.get<{ Querystring: Static<typeof listQuery> }>(
      "/delegations",
      { schema: { querystring: listQuery } },
      async ({ query }) => {
        const after = query.cursor === undefined ? undefined : Buffer.from(query.cursor, "hex");
        const { entries, next } = await readPage(
          query.limit,
          (most) => store.listEnded(after, most),
          (last) => hex(last.pseudonym),
        );
        return { delegations: entries.map(endedJson), next };
      },
    );

    server.post<{ Body: Static<typeof resumeSchema> }>(
      "/delegations/resume",
      { schema: { body: resumeSchema } },
      async ({ body }, reply) => {
        const which = readDelegation(body, sources, pseudonym);
        if (!(await store.resume(which.pseudonym))) throw problem("restNotFound", "this was not ended");
        return reply.code(204).send();
      },
    );
  };
}

/**
 * Which delegation is meant: a task or a delegator, as a source names it.
 * @throws {Problem} restInvalid
 */
export function readDelegation(
  { source, task, delegator }: { source: string; task?: string | undefined; delegator?: string | undefined },
  sources: readonly string[],
  pseudonym: Pseudonym,
): { readonly kind: DelegationKind; readonly source: string; readonly pseudonym: Buffer } {
  if (!sources.includes(source)) throw problem("restInvalid", "source: no delegation source has this ref");
  const given = Object.entries({ task, delegator }).filter(([, name]) => name !== undefined);
  const [[kind, name] = ["task", undefined]] = given as [DelegationKind, string | undefined][];
  if (given.length !== 1 || name === undefined) throw problem("restInvalid", "expected one of task and delegator");
  return { kind, source, pseudonym: pseudonym(kind, source, name) };
}

const endedJson = ({ kind, source, pseudonym, reason, endedAt }: EndedSubject): object => ({
  kind,
  source,
  pseudonym: hex(pseudonym),
  reason,
  endedAt: endedAt.toISOString(),
});

const hex = (serial: Buffer): string => serial.toString("hex");
