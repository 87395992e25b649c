/**
 * REST over limits: `/api/v1/limits`, the rates of the process that is asked, and `/api/v1/pauses`, the identifiers that are paused for
 * their accounts in all of them. Operator token required.
 */
import type { FastifyInstance } from "fastify";
import { type Static, Type } from "typebox";

import { problem } from "../problem/problem.ts";
import { pageLimit, readPage } from "../rest/page.ts";
import { nameText, uuid } from "../rest/parameters.ts";
import type { PausedIdentifier, PauseStore, RateAdministration, RateState } from "./limitPorts.ts";

const text = Type.Optional(nameText(2400));
const resetQuery = Type.Object({ key: text }, { additionalProperties: false });
const selection = {
  account: Type.Optional(uuid),
  type: Type.Optional(Type.Enum(["dns", "ip", "uri", "permanent-identifier"])),
  value: text,
};
const pauseQuery = Type.Object(
  {
    ...selection,
    limit: pageLimit,
    // How many pauses came before: they end, so that none of them could say where to go on.
    cursor: Type.Optional(Type.String({ pattern: "^(0|[1-9][0-9]{0,6})$" })),
  },
  { additionalProperties: false },
);
const resumeQuery = Type.Object(selection, { additionalProperties: false });

/** Keys over a limit that are listed. */
const exceededListed = 100;

export interface LimitRoutesOptions {
  readonly rates: RateAdministration;
  readonly pauses: PauseStore;
  /** Told of every identifier that was resumed: what this process counted against it is to be forgotten too. */
  readonly onResumed: (resumed: Pick<PausedIdentifier, "accountId" | "identifier">) => void;
}

export function limitRoutes({ rates, pauses, onResumed }: LimitRoutesOptions) {
  return async function plugin(server: FastifyInstance): Promise<void> {
    server.get("/limits", async () => ({ limits: rates.list(exceededListed).map(rateJson) }));

    server.delete<{ Params: { limit: string }; Querystring: Static<typeof resetQuery> }>(
      "/limits/:limit",
      { schema: { querystring: resetQuery } },
      async ({ params, query }) => {
        const reset = rates.reset(params.limit, query.key);
        if (reset === undefined) {
          const names = rates.list(0).map(({ limit }) => limit);
          throw problem("restNotFound", `there is no such limit, only ${names.join(", ")}`);
        }
        return { reset };
      },
    );

    server.get<{ Querystring: Static<typeof pauseQuery> }>(
      "/pauses",
      { schema: { querystring: pauseQuery } },
      async ({ query: { account, type, value, ...page } }) => {
        const before = Number(page.cursor ?? 0);
        const { entries, next } = await readPage(
          page.limit,
          (most) => pauses.listPauses({ accountId: account, type, value }, before, most),
          (_last, size) => String(before + size),
        );
        return { pauses: entries.map(pauseJson), next };
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
