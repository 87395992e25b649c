/** Prometheus metrics, at `/metrics`. */
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from "prom-client";

export interface Metrics {
  observeRequest(request: { route: string; method: string; status: number; seconds: number }): void;
  certificateIssued(profile: string, door: string): void;
  challengeAnswered(outcome: { type: string; status: string }): void;
  issuanceUnfinished(): void;
  /** A nonce of another server process was shown here. */
  foreignNonce(outcome: string): void;
  /** An issuing key was tried. */
  keyTested(outcome: "passed" | "failed"): void;
  /** A request was over this limit. */
  limitRefused(limit: string): void;
  text(): Promise<string>;
  readonly contentType: string;
}

/** What is asked when somebody reads the metrics. */
export interface MetricsSources {
  /** SQL statements sent since the start. */
  readonly statements: () => number;
  /** Whether the other server processes on the database can be reached. */
  readonly siblingsConnected: () => boolean;
  /** Buckets of each rate limit in memory. */
  readonly buckets: () => readonly { readonly limit: string; readonly buckets: number }[];
  readonly finalizesUnderWay: () => number;
  /** Tokens that keys are in, and whether each can sign now. */
  readonly tokens: () => readonly { readonly token: string; readonly usable: boolean }[];
}

export function createMetrics({
  statements,
  siblingsConnected,
  buckets,
  finalizesUnderWay,
  tokens,
}: MetricsSources): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
  const requests = new Histogram({
    name: "mayfly_http_request_duration_seconds",
    help: "Duration of HTTP requests, by route",
    labelNames: ["route", "method", "status"],
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10],
    registers,
  });
  const issued = new Counter({
    name: "mayfly_certificates_issued_total",
    help: "Certificates recorded and released, by profile and door",
    labelNames: ["profile", "door"],
    registers,
  });
  const challenges = new Counter({
    name: "mayfly_challenges_total",
    help: "Challenges that ended, by type and status",
    labelNames: ["type", "status"],
    registers,
  });
  const unfinished = new Counter({
    name: "mayfly_issuance_unfinished_total",
    help: "Issuances that stopped between intent and record and were left to the settling job",
    registers,
  });
  const foreignNonces = new Counter({
    name: "mayfly_foreign_nonces_total",
    help: "Nonces that another server process issued, by what came of asking it",
    labelNames: ["outcome"],
    registers,
  });
  const measured = (name: string, help: string, value: () => number): void =>
    registry.registerMetric(
      new Gauge({
        name,
        help,
        registers: [],
        collect() {
          this.set(value());
        },
      }),
    );
  measured("mayfly_sql_statements", "SQL statements sent since the start", statements);
  measured("mayfly_siblings_connected", "1 while other server processes can be asked about their nonces", () =>
    siblingsConnected() ? 1 : 0,
  );
  measured("mayfly_finalizes_under_way", "Finalize requests under way", finalizesUnderWay);
  const refused = new Counter({
    name: "mayfly_limit_refused_total",
    help: "Requests refused because of a limit, by limit",
    labelNames: ["limit"],
    registers,
  });
  registry.registerMetric(
    new Gauge({
      name: "mayfly_limit_buckets",
      help: "Buckets that a rate limit keeps in memory, by limit",
      labelNames: ["limit"],
      registers: [],
      collect() {
        for (const { limit, buckets: kept } of buckets()) this.set({ limit }, kept);
      },
    }),
  );
  const keyTests = new Counter({
    name: "mayfly_key_self_tests_total",
    help: "Tests of issuing keys, by outcome",
    labelNames: ["outcome"],
    registers,
  });
  registry.registerMetric(
    new Gauge({
      name: "mayfly_key_token_usable",
      help: "1 while this token can sign, as far as is known",
      labelNames: ["token"],
      registers: [],
      collect() {
        for (const { token, usable } of tokens()) this.set({ token }, usable ? 1 : 0);
      },
    }),
  );
  return {
    observeRequest: ({ route, method, status, seconds }) =>
      requests.observe({ route, method, status: String(status) }, seconds),
    certificateIssued: (profile, door) => issued.inc({ profile, door }),
    challengeAnswered: ({ type, status }) => challenges.inc({ type, status }),
    issuanceUnfinished: () => unfinished.inc(),
    foreignNonce: (outcome) => foreignNonces.inc({ outcome }),
    keyTested: (outcome) => keyTests.inc({ outcome }),
    limitRefused: (limit) => refused.inc({ limit }),
    text: () => registry.metrics(),
    contentType: registry.contentType,
  };
}
