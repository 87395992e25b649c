/** The OCSP responder, its routes, and what keeps its responses fresh. */
import type { FastifyInstance } from "fastify";

import { sourceAddress } from "./acme/limits/sourceAddress.ts";
import { createOcspResponder } from "./authority/revocation/ocspResponder.ts";
import { createOcspUpkeep } from "./authority/revocation/ocspUpkeep.ts";
import { createSignatureBudget } from "./authority/revocation/signatureBudget.ts";
import type { Configuration } from "./config/load.ts";
import type { Foundation } from "./foundation.ts";
import { ocspRoutes } from "./http/ocsp.ts";
import { KeyUnavailable } from "./keys/signer.ts";
import { Problem } from "./problem/problem.ts";
import { createOcspResponseStore } from "./store/ocspResponses.ts";

/** What is told of it, for the metrics. */
export interface OcspMetrics {
  ocspAnswered(outcome: string, method: string): void;
  ocspSigned(why: "asked" | "nonce" | "ahead"): void;
}

export interface Ocsp {
  /** May be put on several listeners. */
  readonly routes: (server: FastifyInstance) => Promise<void>;
  /** Responses in memory. */
  readonly remembered: () => number;
  /** Each second: from then on what was revoked is answered as revoked. */
  catchUp(): Promise<void>;
  /** Makes responses ahead of requests. */
  keepUp(): Promise<void>;
}

/** Added to what a statement may take. */
const graceSeconds = 60;

/** Opens it; responses ahead of requests are made from the first round of `keepUp` on. */
export function openOcsp(
  { revocation, profiles, database }: Configuration,
  { db, issuers, log }: Foundation,
  metrics: OcspMetrics,
  now: () => Date,
): Ocsp {
  const common = {
    store: createOcspResponseStore(db),
    now,
    lifetimeSeconds: revocation.ocspLifetimeSeconds,
    onSigned: (why: "asked" | "nonce" | "ahead") => metrics.ocspSigned(why),
    onTrouble: (error: unknown) => log.error({ err: error }, "an OCSP response could not be made"),
  };
  const budget = createSignatureBudget(revocation.ocspSignaturesPerSecond);
  // Half of it, so that nonces leave the other half to what is signed for everybody.
  const nonceBudget = createSignatureBudget(Math.floor(revocation.ocspSignaturesPerSecond / 2), budget);
  const responder = createOcspResponder({
    ...common,
    issuers: () => issuers.all(),
    lookBackSeconds: Math.ceil(database.statementTimeoutMs / 1000) + graceSeconds,
    cacheBytes: revocation.ocspMemoryBytes,
    budget,
    nonceBudget: revocation.ocspNonce === "answer" ? nonceBudget : undefined,
    isPassing: (error) => error instanceof KeyUnavailable || (error instanceof Problem && error.status === 503),
  });
  const upkeep = createOcspUpkeep({
    ...common,
    issuerById: (id) => issuers.byId(id),
    ahead: [...profiles.values()]
      .filter((profile) => profile.revocation.ocsp)
      .map(({ name, revocation: { shortLivedMaxSeconds } }) => ({
        profile: name,
        longerThanSeconds: shortLivedMaxSeconds,
      })),
  });
  return {
    routes: ocspRoutes({
      responder: {
        answer: (request, issuerId, address) =>
          responder.answer(request, issuerId, () => sourceAddress(address) ?? "unknown"),
        knows: (issuerId) => responder.knows(issuerId),
      },
      now,
      cacheSeconds: revocation.ocspCacheSeconds,
      onAnswered: (outcome, method) => metrics.ocspAnswered(outcome, method),
    }),
    remembered: responder.remembered,
    catchUp: () => responder.catchUp(),
    keepUp: () => upkeep.run(),
  };
}
