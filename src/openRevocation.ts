/** Revocation lists as the composition has them: making what is due, serving what stands, warning of what is late, and a listener without TLS. */
import type { FastifyInstance } from "fastify";
import type { Logger } from "pino";

import type { PublishedList } from "./authority/certificateListPorts.ts";
import { makeDueLists } from "./authority/revocation/makeLists.ts";
import { openStandingLists, type StandingLists } from "./authority/revocation/standingLists.ts";
import type { Configuration } from "./config/load.ts";
import type { Foundation } from "./foundation.ts";
import { caCertificateRoutes } from "./http/caCertificates.ts";
import { certificateListRoutes } from "./http/certificateLists.ts";
import type { Metrics } from "./http/metrics.ts";
import { createServer } from "./http/server.ts";
import { createCertificateListStore } from "./store/certificateLists.ts";

type Routes = (server: FastifyInstance) => Promise<void>;

export interface OpenRevocation {
  readonly lists: StandingLists;
  /** `/crl`. */
  readonly routes: Routes;
  /** Makes the lists that are due, and looks at those that stand. */
  round(): Promise<void>;
  /** Sentences about lists that are late: for readiness, which stays what it is. */
  late(): string[];
}

/** A list that is late is told of once a minute. */
const toldEveryMs = 60_000;

/** Opens them; nothing is made before the first round. */
export function openRevocation(
  configuration: Configuration,
  { db, issuers: all, log }: Foundation,
  metrics: Pick<Metrics, "certificateListFailed">,
  now: () => Date,
): OpenRevocation {
  const { crlLifetimeSeconds, crlIntervalSeconds, crlCacheSeconds, crlMemoryBytes } = configuration.revocation;
  // Those with lists: the roots, too.
  const issuers = {
    listIssuers: () => all.listIssuers(),
    byId: (id: string) => all.listIssuers().find((one) => one.id === id),
  };
  const store = createCertificateListStore(db);
  const lists = openStandingLists({
    store,
    memoryBytes: crlMemoryBytes,
    onUnknown: (error) => log.warn({ err: error }, "revocation lists are served as they were known last"),
  });
  const late = (): PublishedList[] =>
    lists.known().filter((list) => {
      const issuer = issuers.byId(list.issuerId);
      return issuer !== undefined && issuer.notAfter > now() && isLate(list, now()); // After its end none is made.
    });
  const tell = teller(log);
  return {
    lists,
    routes: certificateListRoutes({
      async find(issuerId, shard) {
        const list = await lists.find({ issuerId, shard });
        if (list !== undefined) return list;
        return shard < (issuers.byId(issuerId)?.crlShards ?? 0) ? "none" : undefined;
      },
      read: (issuerId, shard, end) => lists.read({ issuerId, shard }, end),
      cacheSeconds: crlCacheSeconds,
      now,
    }),
    async round() {
      try {
        await makeDueLists({
          store,
          issuers,
          times: { lifetimeSeconds: crlLifetimeSeconds, intervalSeconds: crlIntervalSeconds },
          now,
          onFailed({ issuerId, shard, number }, error) {
            metrics.certificateListFailed();
            log.error({ err: error, issuer: issuerId, shard, number }, "a revocation list was not made");
          },
        });
      } finally {
        await lists.all();
        tell(late());
      }
    },
    late: () =>
      late().map((list) => `revocation list ${list.shard} of issuer ${list.issuerId} is late: ${endOf(list)}`),
  };
}

const endOf = ({ nextUpdate }: PublishedList): string => `it ends at ${nextUpdate.toISOString()}`;

/** Half of the margin between the time that a list is due and its end is used up. */
function isLate({ dueAt, nextUpdate }: PublishedList, now: Date): boolean {
  return now.getTime() > (dueAt.getTime() + nextUpdate.getTime()) / 2;
}

function teller(log: Logger): (late: readonly PublishedList[]) => void {
  let told = -Infinity;
  return (late) => {
    if (late.length === 0 || performance.now() - told < toldEveryMs) return;
    told = performance.now();
    for (const list of late.slice(0, 10))
      log.error({ issuer: list.issuerId, shard: list.shard, nextUpdate: list.nextUpdate }, "a revocation list is late");
  };
}

/**
 * The listener of plain HTTP, where one is configured: whoever checks TLS by what it serves must not need TLS for it (RFC 5280 §8). What it
 * serves is signed. It has these routes and no others.
 */
export async function createPlainServer(
  configuration: Configuration,
  { issuers }: Foundation,
  metrics: Metrics,
  routes: readonly Routes[],
): Promise<FastifyInstance | undefined> {
  const { revocation, log, http, externalUrl } = configuration;
  if (revocation.listen === undefined) return undefined;
  const server = createServer({
    tls: undefined,
    logLevel: log.level,
    bodyLimit: 16_384,
    maxConnections: http.maxConnections,
    trustedProxies: http.trustedProxies,
    onRequestDone: (request) => metrics.observeRequest(request),
  });
  for (const each of routes) await server.register(each);
  await server.register(caCertificateRoutes((at) => issuers.published().get(at), externalUrl));
  return server;
}
