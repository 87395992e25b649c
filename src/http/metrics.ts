/** Prometheus metrics, at `/metrics`. */
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from "prom-client";

export interface Metrics {
  observeRequest(request: { route: string; method: string; status: number; seconds: number }): void;
  certificateIssued(profile: string, door: string): void;
  challengeAnswered(outcome: { type: string; status: string }): void;
  issuanceUnfinished(): void;
  /** A certificate broke this lint and was not signed. */
  lintFailed(lint: string): void;
  /** A nonce of another server process was shown here. */
  foreignNonce(outcome: string): void;
  /** An issuing key was tried. */
  keyTested(outcome: "passed" | "failed"): void;
  /** A request was over this limit. */
  limitRefused(limit: string): void;
  /** A revocation list could not be made. */
  certificateListFailed(): void;
  /** A request for the status of a certificate was answered (RFC 6960). */
  ocspAnswered(outcome: string, method: string): void;
  /** An OCSP response was signed. */
  ocspSigned(why: string): void;
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
  readonly issuers: () => readonly IssuerFacts[];
  readonly moves: () => PlannedMoves;
  /** Tokens that keys are in, and whether each can sign now. */
  readonly tokens: () => readonly { readonly token: string; readonly usable: boolean }[];
  /** The revocation lists that stand. */
  readonly lists: () => readonly StandingListFacts[];
  /** OCSP responses in memory. */
  readonly ocspRemembered: () => number;
}

interface StandingListFacts {
  readonly issuerId: string;
  readonly shard: number;
  readonly number: number;
  readonly entries: number;
  readonly thisUpdate: Date;
  readonly nextUpdate: Date;
}

export function createMetrics(sources: MetricsSources): Metrics {
  const { statements, siblingsConnected, buckets, finalizesUnderWay, tokens } = sources;
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
  const lintFailures = new Counter({
    name: "mayfly_lint_failures_total",
    help: "Certificates that broke a lint and were not signed, by lint: every one is a fault of the server's own",
    labelNames: ["lint"],
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
  const listFailures = new Counter({
    name: "mayfly_crl_failures_total",
    help: "Revocation lists that could not be made, and were tried again later",
    registers,
  });
  registerLists(registry, sources.lists);
  const ocspAnswers = new Counter({
    name: "mayfly_ocsp_responses_total",
    help: "OCSP requests answered, by what was said and by method",
    labelNames: ["outcome", "method"],
    registers,
  });
  const ocspSignatures = new Counter({
    name: "mayfly_ocsp_signed_total",
    help: "OCSP responses signed: asked, nonce, or ahead of requests",
    labelNames: ["why"],
    registers,
  });
  measured("mayfly_ocsp_remembered", "OCSP responses in memory", sources.ocspRemembered);
  registerIssuers(registry, sources);
  return {
    observeRequest: ({ route, method, status, seconds }) =>
      requests.observe({ route, method, status: String(status) }, seconds),
    certificateIssued: (profile, door) => issued.inc({ profile, door }),
    challengeAnswered: ({ type, status }) => challenges.inc({ type, status }),
    issuanceUnfinished: () => unfinished.inc(),
    lintFailed: (lint) => lintFailures.inc({ lint }),
    foreignNonce: (outcome) => foreignNonces.inc({ outcome }),
    keyTested: (outcome) => keyTests.inc({ outcome }),
    limitRefused: (limit) => refused.inc({ limit }),
    certificateListFailed: () => listFailures.inc(),
    ocspAnswered: (outcome, method) => ocspAnswers.inc({ outcome, method }),
    ocspSigned: (why) => ocspSignatures.inc({ why }),
    text: () => registry.metrics(),
    contentType: registry.contentType,
  };
}

/** An issuer, as it is measured. */
export interface IssuerFacts {
  readonly id: string;
  /** Its line; `root` for roots. */
  readonly name: string;
  readonly state: string;
  readonly notAfter: Date;
}

/** What is planned of the issuers. */
export interface PlannedMoves {
  readonly moves: readonly { readonly kind: string; readonly name: string; readonly act: string; readonly at: Date }[];
  readonly alarms: readonly { readonly kind: string; readonly name: string }[];
}

function registerIssuers(registry: Registry, { issuers, moves }: Pick<MetricsSources, "issuers" | "moves">): void {
  const lineOf = ({ kind, name }: { kind: string; name: string }): string => (kind === "root" ? "root" : name);
  const gauge = (name: string, help: string, labelNames: readonly string[], collect: (gauge: Gauge) => void): void =>
    registry.registerMetric(
      new Gauge({
        name,
        help,
        labelNames: [...labelNames],
        registers: [],
        collect() {
          this.reset();
          collect(this);
        },
      }),
    );
  gauge("mayfly_issuer_not_after_seconds", "When an issuer ends", ["issuer", "name", "state"], (of) => {
    for (const { id, name, state, notAfter } of issuers())
      of.set({ issuer: id, name, state }, notAfter.getTime() / 1000);
  });
  gauge("mayfly_issuer_next_move_seconds", "When a line of issuers moves next", ["name", "move"], (of) => {
    for (const move of moves().moves) of.set({ name: lineOf(move), move: move.act }, move.at.getTime() / 1000);
  });
  gauge("mayfly_issuer_alarms", "What an operator must do about issuers", ["name"], (of) => {
    for (const alarm of moves().alarms) of.inc({ name: lineOf(alarm) });
  });
}

/** What is measured of each revocation list; times in seconds since 1970, as Prometheus has them. */
const listFigures: readonly (readonly [name: string, help: string, of: (list: StandingListFacts) => number])[] = [
  ["mayfly_crl_number", "Number of the revocation list that stands", ({ number }) => number],
  ["mayfly_crl_entries", "Certificates on the revocation list", ({ entries }) => entries],
  [
    "mayfly_crl_this_update_seconds",
    "When the revocation list was issued (thisUpdate)",
    ({ thisUpdate }) => thisUpdate.getTime() / 1000,
  ],
  [
    "mayfly_crl_next_update_seconds",
    "When the revocation list ends (nextUpdate)",
    ({ nextUpdate }) => nextUpdate.getTime() / 1000,
  ],
];

function registerLists(registry: Registry, lists: MetricsSources["lists"]): void {
  for (const [name, help, of] of listFigures) {
    registry.registerMetric(
      new Gauge({
        name,
        help,
        labelNames: ["issuer", "shard"],
        registers: [],
        collect() {
          this.reset();
          for (const list of lists()) this.set({ issuer: list.issuerId, shard: String(list.shard) }, of(list));
        },
      }),
    );
  }
}
