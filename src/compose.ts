/** The composition root: configuration → every object, in dependency order. No container, no autoload; read it from top to bottom. */
import path from "node:path";
import type { FastifyInstance } from "fastify";

import type { SourceSurroundings } from "./attestation/format.ts";
import { createIssuing, type Issuing } from "./authority/issue.ts";
import type { Issuers } from "./authority/issuer.ts";
import { lintOf } from "./authority/lint.ts";
import { profileJson } from "./authority/profile.ts";
import type { IssuanceLedger } from "./authority/ports.ts";
import { testIssuingKeys } from "./authority/testIssuingKeys.ts";
import type { RotationStore } from "./authority/rotationPorts.ts";
import type { Configuration } from "./config/load.ts";
import { openDevIssuer } from "./development/devIssuer.ts";
import { createMetrics, type Metrics } from "./http/metrics.ts";
import { createServer } from "./http/server.ts";
import { openFoundation, stopInOrder, type Foundation } from "./foundation.ts";
import { createListener, listenerProfile } from "./listener.ts";
import { mountAcme, type AcmeReplacements } from "./mountAcme.ts";
import { mountOperatorRest, mountPublic } from "./mountRest.ts";
import { openDelegations } from "./openDelegations.ts";
import { createFetchBody, createPostJson } from "./outbound/fetchBody.ts";
import { createOutbound } from "./outbound/outbound.ts";
import { openExternalAccounts } from "./openExternalAccounts.ts";
import { openIdentities } from "./openIdentities.ts";
import { openRotation } from "./openRotation.ts";
import { openLimits } from "./openLimits.ts";
import { openOcsp } from "./openOcsp.ts";
import { createPlainServer, openRevocation } from "./openRevocation.ts";
import { openRevocationActions } from "./openRevocationActions.ts";
import type { Parts } from "./parts.ts";
import { leftBehind, startWork } from "./work.ts";
import { instanceOctets } from "./acme/nonce.ts";
import { createProfileStore } from "./store/profiles.ts";
import { createIssuanceLedger } from "./store/issuance.ts";
import { joinSiblings, type Siblings } from "./store/siblings.ts";

/** What a test may put in place of the real thing. */
export interface Replacements {
  readonly rotation?: (store: RotationStore) => RotationStore;
  readonly ledger?: (ledger: IssuanceLedger) => IssuanceLedger;
  readonly now?: () => Date;
  /** Of serial numbers. */
  readonly randomBytes?: (size: number) => Buffer;
  readonly acme?: AcmeReplacements;
  /** May put keys in before anybody can ask for one. */
  readonly externalAccounts?: (keys: Parts["externalAccounts"]) => Promise<Parts["externalAccounts"]>;
}

export interface Authority {
  readonly server: FastifyInstance;
  /** The listener of plain HTTP for revocation, where one is configured. */
  readonly plainServer: FastifyInstance | undefined;
  readonly issuers: Issuers;
  readonly configuration: Configuration;
  /** For people: where the keys are. */
  readonly keys: Foundation["keys"];
  readonly operatorTokenFile: string;
  readonly firstStart: boolean;
  /** Stops in the order that loses nothing: listener, validations, jobs, database. */
  close(): Promise<void>;
}

/** Builds the whole authority and starts its background work; the caller makes the server listen. */
export async function compose(configuration: Configuration, replacements: Replacements = {}): Promise<Authority> {
  const now = replacements.now ?? (() => new Date());
  const foundation = await openFoundation(configuration, now, "server");
  const onLost = (reason: string): void => foundation.log.warn({ reason }, "no connection to the other servers");
  const siblings = await joinSiblings(foundation.db, { instanceOctets, onLost });
  try {
    return await build(configuration, foundation, siblings, now, replacements);
  } catch (error) {
    await stopInOrder(
      () => siblings.close(),
      () => foundation.close(),
    );
    throw error;
  }
}

async function build(
  configuration: Configuration,
  foundation: Foundation,
  siblings: Siblings,
  now: () => Date,
  replacements: Replacements,
): Promise<Authority> {
  const { db, keys, issuers, log } = foundation;
  const metrics = createMetrics({
    statements: () => db.statistics.statements,
    siblingsConnected: siblings.connected,
    buckets: () => limits.rates.sizes(),
    finalizesUnderWay: () => limits.finalizes.underWay(),
    tokens: () => keys.tokens?.() ?? [],
    lists: () => revocation.lists.known(),
    ocspRemembered: () => ocsp.remembered(),
    issuers: () => issuerFacts(issuers),
    moves: () => rotation.latest(),
  });
  const rotation = openRotation(configuration, foundation, now, replacements.rotation);
  await rotation.round(); // Lines of issuers that are new in the configuration have their first one before anybody asks.
  const revocation = openRevocation(configuration, foundation, metrics, now);
  const limits = openLimits(configuration, now, (limit) => metrics.limitRefused(limit));
  const issuing = openIssuing(foundation, metrics, now, replacements);
  const ocsp = openOcsp(configuration, foundation, metrics, now);
  // What an earlier process left in the middle is finished before anything new begins; what a live one is at, it finishes itself.
  const left = siblings.alone ? { intents: now(), validations: now() } : leftBehind(now(), configuration);
  await rememberProfiles(db, configuration);
  await issuing.settle(left.intents);

  const listener = createListener(configuration, issuers, issuing, log, now);
  const server = createServer({
    tls: await listener.tls(),
    logLevel: configuration.log.level,
    bodyLimit: 65_536,
    maxConnections: configuration.http.maxConnections,
    trustedProxies: configuration.http.trustedProxies,
    onRequestDone: (request) => metrics.observeRequest(request),
  });
  const developmentIssuer = configuration.attestation.developmentSource
    ? await openDevIssuer(path.join(configuration.dataDir, "dev-issuer.jwk"))
    : undefined;
  const externalAccounts = await openExternalAccounts(configuration, foundation);
  const surroundings = openSurroundings(configuration, foundation, now);
  const opened: Omit<Parts, "identities"> = {
    configuration,
    foundation,
    siblings,
    metrics,
    issuing,
    limits,
    externalAccounts: (await replacements.externalAccounts?.(externalAccounts)) ?? externalAccounts,
    surroundings,
    delegations: await openDelegations(configuration, foundation, surroundings),
    revocation,
    revocationActions: openRevocationActions(configuration, foundation, { siblings, lists: revocation.lists }, now),
    rotation,
    developmentKey: developmentIssuer?.publicJwk,
    now,
  };
  const identities = await openIdentities(opened);
  const parts: Parts = { ...opened, identities };
  const validations = await mountAcme(server, parts, replacements.acme);
  const operatorTokenFile = await mountOperatorRest(server, parts);
  await mountPublic(server, parts);
  const plainServer = await createPlainServer(configuration, foundation, metrics, [revocation.routes, ocsp.routes]);
  await server.register(ocsp.routes);

  await validations.resume(left.validations);
  const renewListener = (): Promise<void> => listener.renew(server);
  const rereadGrants = (): Promise<void> => identities.standing.reread();
  async function rereadIssuers(): Promise<void> {
    await issuers.reread();
    await listener.follow(server);
  }
  for (const { id, name, key } of issuers.all())
    log.info({ issuer: id, name, key: key.label, custody: key.custody }, "an issuing key is here");
  const testKeys = (): Promise<void> =>
    testIssuingKeys(issuers, configuration.issuerLines.issuing.keys(), (outcome) => metrics.keyTested(outcome));
  const work = startWork({
    db,
    rereadGrants,
    rereadIssuers,
    rotateIssuers: () => rotation.round(),
    makeLists: () => revocation.round(),
    ocsp,
    issuing,
    validations,
    metrics,
    log,
    now,
    configuration,
    testKeys,
    renewListener,
  });
  return {
    server,
    plainServer,
    issuers,
    configuration,
    keys,
    operatorTokenFile,
    firstStart: foundation.firstStart,
    close: () =>
      stopInOrder(
        () => server.close(),
        () => plainServer?.close(),
        () => validations.stop(),
        () => work.stop(),
        () => parts.revocationActions.stop(),
        () => siblings.close(),
        () => foundation.close(),
      ),
  };
}

/** Before anything is issued under them, so that the hash in every certificate can be read. */
async function rememberProfiles(db: Foundation["db"], { profiles }: Configuration): Promise<void> {
  const all = [...profiles.values(), listenerProfile];
  await createProfileStore(db).remember(
    all.map((profile) => ({ hash: profile.hash, name: profile.name, json: profileJson(profile) })),
  );
}

/** What sources of evidence use. By the system's resolver: issuers have names that only this network knows. */
function openSurroundings(
  { attestation: { allowPrivate }, externalUrl, trustDomain }: Configuration,
  { issuers }: Foundation,
  now: () => Date,
): SourceSurroundings {
  const localhost = { allowLocalhostNames: allowPrivate };
  const outbound = createOutbound({ allowPrivate, ...localhost, lookupTimeoutMs: 4_000, bySystem: true });
  const userAgent = `Mayfly (attestation; +${externalUrl})`;
  const [fetchBody, postJson] = [createFetchBody(outbound, userAgent), createPostJson(outbound, userAgent)];
  const ownAuthorities = (): Buffer[] => [...issuers.roots(), ...issuers.all()].map(({ certificate }) => certificate);
  return { fetchBody, postJson, now, trustDomain, ownAuthorities };
}

/** The way to a signature. */
function openIssuing(
  { db, issuers, log }: Foundation,
  metrics: Metrics,
  now: () => Date,
  { ledger = (real) => real, randomBytes }: Replacements,
): Issuing {
  return createIssuing({
    ledger: ledger(createIssuanceLedger(db)),
    issuers,
    now,
    ...(randomBytes !== undefined && { randomBytes }),
    onUnfinished(serial, error) {
      metrics.issuanceUnfinished();
      log.error({ err: error, serial: serial.toString("hex") }, "an issuance is unfinished and will be settled");
    },
    onRefused({ findings, serial, tbsSha256, identityName, profile }) {
      for (const finding of findings) metrics.lintFailed(lintOf(finding));
      const hashes = { serial: serial.toString("hex"), tbsSha256: tbsSha256.toString("hex") };
      log.error(
        { findings, ...hashes, identity: identityName, profile },
        "a certificate broke lints and was not signed",
      );
    },
  });
}

/** Issuers as the metrics have them. */
function issuerFacts(issuers: Issuers) {
  const issuing = issuers.all().map(({ id, name, state, notAfter }) => ({ id, name, state, notAfter }));
  return [...issuers.roots().map(({ id, state, notAfter }) => ({ id, name: "root", state, notAfter })), ...issuing];
}
