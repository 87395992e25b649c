/**
 * REST over limits: `/api/v1/limits`, the rates of the process that is asked, and `/api/v1/pauses`, the identifiers that are paused for
 * their accounts in all of them. Operator token required.
 */
import type { FastifyInstance } from "fastify";
import { type Static, Type } from "typebox";

import type { OperatorAccess } from "../access/operatorToken.ts";
import { problem } from "../problem/problem.ts";
import type { PausedIdentifier, PauseStore, RateAdministration, RateState } from "./limitPorts.ts";

const text = Type.Optional(Type.String({ pattern: "^[^\\u0000]+$", maxLength: 2400 }));
const resetQuery = Type.Object({ key: text }, { additionalProperties: false });
const selection = {
  account: Type.Optional(Type.String({ pattern: "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$" })),
  type: Type.Optional(Type.Enum(["dns", "ip", "uri"])),
  value: text,
};
const pauseQuery = Type.Object(
  {
    ...selection,
    limit: Type.Optional(Type.String({ pattern: "^([1-9][0-9]{0,2}|1000)$" })),
    offset: Type.Optional(Type.String({ pattern: "^(0|[1-9][0-9]{0,6})$" })),
  },
  { additionalProperties: false },
);
const resumeQuery = Type.Object(selection, { additionalProperties: false });

/** Keys over a limit that are listed. */
const exceededListed = 100;
const pageDefault = 100;

export interface LimitRoutesOptions {
  readonly rates: RateAdministration;
  readonly pauses: PauseStore;
  /** Told of every identifier that was resumed: what this process counted against it is to be forgotten too. */
  readonly onResumed: (resumed: Pick<PausedIdentifier, "accountId" | "identifier">) => void;
  readonly access: OperatorAccess;
}

export function limitRoutes({ rates, pauses, onResumed, access }: LimitRoutesOptions) {
  return async function plugin(server: FastifyInstance): Promise<void> {
    server.addHook("onRequest", async (request, reply) => {
      access.require(request.headers.authorization);
      reply.header("cache-control", "no-store");
    });

    server.get("/limits", async () => ({ limits: rates.list(exceededListed).map(rateJson) }));

    server.delete<{ Params: { limit: string }; Querystring: Static<typeof resetQuery> }>(
      "/limits/:limit",
      { schema: { querystring: resetQuery } },
      async ({ params, query }) => {
        const reset = rates.reset(params.limit, query.key);
        if (reset === undefined) throw problem("restNotFound", "there is no such limit");
        return { reset };
      },
    );

    server.get<{ Querystring: Static<typeof pauseQuery> }>(
      "/pauses",
      { schema: { querystring: pauseQuery } },
      async ({ query: { account, type, value, ...page } }) => {
        const size = page.limit === undefined ? pageDefault : Number(page.limit);
        const offset = Number(page.offset ?? 0);
        const found = await pauses.listPauses({ accountId: account, type, value }, offset, size + 1);
        return {
          pauses: found.slice(0, size).map(pauseJson),
          ...(found.length > size && { next: String(offset + size) }),
        };
      },
    );

    server.delete<{ Querystring: Static<typeof resumeQuery> }>(
      "/pauses",
      { schema: { querystring: resumeQuery } },
      async ({ query: { account, type, value } }) => {
        if (account === undefined && value === undefined)
          throw problem("restInvalid", "account or value must say which pauses end");
        const resumed = await pauses.resume({ accountId: account, type, value });
        for (const one of resumed) onResumed(one);
        return { resumed: resumed.length };
      },
    );
  };
}

const rateJson = ({ limit, rate, buckets, refused, exceeded }: RateState): object => ({
  limit,
  ...(rate && { count: rate.count, periodSeconds: rate.periodMs / 1000, burst: rate.burst }),
  enabled: rate !== undefined,
  buckets,
  refused,
  exceeded,
});

const pauseJson = ({ accountId, identifier, failures, pausedAt, lastFailedAt }: PausedIdentifier): object => ({
  account: accountId,
  identifier,
  failures,
  pausedAt: pausedAt.toISOString(),
  lastFailedAt: lastFailedAt.toISOString(),
});
