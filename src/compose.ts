/** The composition root: configuration → every object, in dependency order. No container, no autoload; read it from top to bottom. */
import { randomBytes, X509Certificate } from "node:crypto";
import path from "node:path";
import type { FastifyInstance } from "fastify";

import { openOperatorAccess } from "./access/operatorToken.ts";
import type { AcmeContext } from "./acme/context.ts";
import { createOutbound, fetchHttps } from "./acme/challenges/outbound.ts";
import { createValidationRunner, type ValidationRunner } from "./acme/challenges/runner.ts";
import { validateWithRetries } from "./acme/challenges/validators.ts";
import { newId } from "./acme/id.ts";
import type { Challenge } from "./acme/ports.ts";
import { createLru } from "./acme/lru.ts";
import { createNonceSource } from "./acme/nonce.ts";
import { acmeRoutes } from "./acme/routes.ts";
import { createUrls } from "./acme/urls.ts";
import { openSourceKeys, staticKeys } from "./attestation/jwks.ts";
import { configureSource, type Source } from "./attestation/sources.ts";
import { createVerifier } from "./attestation/verify.ts";
import { createIssuing, type Issuing } from "./authority/issue.ts";
import type { Hierarchy } from "./authority/issuer.ts";
import { createIdentityPolicy } from "./authority/policy.ts";
import type { IssuanceLedger } from "./authority/ports.ts";
import { developmentRef, type Configuration } from "./config/load.ts";
import { openDevIssuer } from "./development/devIssuer.ts";
import { spiffeBundle } from "./http/bundle.ts";
import { createMetrics, type Metrics } from "./http/metrics.ts";
import { publicRoutes } from "./http/publicRoutes.ts";
import { createServer } from "./http/server.ts";
import { inventoryRoutes } from "./inventory/routes.ts";
import { openFoundation, stopInOrder, type Foundation } from "./foundation.ts";
import { createListener } from "./listener.ts";
import { createReadiness } from "./http/readiness.ts";
import { startWork } from "./work.ts";
import { createAccountStore } from "./store/accounts.ts";
import { createCertificateStore } from "./store/certificates.ts";
import { createInventoryStore } from "./store/inventory.ts";
import { createIssuanceLedger } from "./store/issuance.ts";
import { pingDatabase } from "./store/maintenance.ts";
import { createOrderStore } from "./store/orders.ts";

/** What a test may put in place of the real thing. */
export interface Replacements {
  readonly ledger?: (ledger: IssuanceLedger) => IssuanceLedger;
  readonly now?: () => Date;
}

export interface Authority {
  readonly server: FastifyInstance;
  readonly hierarchy: Hierarchy;
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
  const foundation = await openFoundation(configuration, now());
  try {
    return await build(configuration, foundation, now, replacements);
  } catch (error) {
    await foundation.close();
    throw error;
  }
}

async function build(
  configuration: Configuration,
  foundation: Foundation,
  now: () => Date,
  replacements: Replacements,
): Promise<Authority> {
  const { db, keys, hierarchy, log } = foundation;
  const metrics = createMetrics({ statements: () => db.statistics.statements });
  const issuing = createIssuing({
    ledger: (replacements.ledger ?? ((real) => real))(createIssuanceLedger(db)),
    issuer: () => hierarchy.issuing,
    issuerById: (id) => (id === hierarchy.issuing.id ? hierarchy.issuing : undefined),
    now,
    onUnfinished: (serial, error) => {
      metrics.issuanceUnfinished();
      log.error({ err: error, serial: serial.toString("hex") }, "an issuance is unfinished and will be settled");
    },
  });
  await issuing.settle(now()); // What an earlier process left between intent and record is finished before anything new begins.

  const listener = createListener(configuration, hierarchy, issuing, now);
  const server = createServer({
    tls: await listener.tls(),
    logLevel: configuration.log.level,
    bodyLimit: 65_536,
    maxConnections: configuration.http.maxConnections,
    onRequestDone: (request) => metrics.observeRequest(request),
  });
  const developmentIssuer = configuration.attestation.developmentSource
    ? await openDevIssuer(path.join(configuration.dataDir, "dev-issuer.jwk"))
    : undefined;
  const parts: Parts = {
    configuration,
    foundation,
    metrics,
    issuing,
    developmentKey: developmentIssuer?.publicJwk,
    now,
  };
  const validations = await mountAcme(server, parts);
  const operatorTokenFile = await mountInventory(server, parts);
  await mountPublic(server, parts);

  await validations.resume(now());
  const renewListener = (): Promise<void> => listener.renew(server);
  const work = startWork({ db, issuing, validations, metrics, log, now, configuration, renewListener });
  return {
    server,
    hierarchy,
    configuration,
    keys,
    operatorTokenFile,
    firstStart: foundation.firstStart,
    close: () =>
      stopInOrder(
        () => server.close(),
        () => validations.stop(),
        () => work.stop(),
        () => foundation.close(),
      ),
  };
}

/** What the mounts below share. */
interface Parts {
  readonly configuration: Configuration;
  readonly foundation: Foundation;
  readonly metrics: Metrics;
  readonly issuing: Issuing;
  /** Public JWK of the development evidence source, where there is one. */
  readonly developmentKey: Readonly<Record<string, string>> | undefined;
  readonly now: () => Date;
}

/** The ACME room below /acme, with validation and attestation behind it. */
async function mountAcme(server: FastifyInstance, parts: Parts): Promise<ValidationRunner> {
  const { configuration, foundation, metrics, issuing, now } = parts;
  const { db, hierarchy } = foundation;
  const { acme, audience, externalUrl, profiles, trustDomain } = configuration;
  const [accounts, orders] = [createAccountStore(db), createOrderStore(db)];
  const onChallengeEnded = (challenge: Challenge): void => metrics.challengeAnswered(challenge);
  const validations = createValidations({ ...parts, accounts, orders, onChallengeEnded });
  const verifier = createVerifier(openSources(parts));
  const urls = createUrls(externalUrl);
  const context: AcmeContext = {
    urls,
    nonces: createNonceSource(),
    keys: createLru(5_000),
    accounts,
    orders,
    certificates: createCertificateStore(db),
    policy: createIdentityPolicy({
      trustDomain,
      grants: configuration.grants,
      verifier,
      onRefused: (spiffeId, nearest) =>
        foundation.log.info({ spiffeId, ...nearest }, "no grant gives this identity to this evidence"),
    }),
    profiles,
    issuing,
    chainPemOf: hierarchy.chainPemOf,
    validations,
    limits: acme,
    audience,
    termsOfService: acme.termsOfService,
    onChallengeEnded,
    now,
    newId: () => newId(now()),
    newToken: () => randomBytes(24).toString("base64url"),
  };
  const facts = {
    urls,
    profiles,
    website: acme.website ?? externalUrl,
    termsOfService: acme.termsOfService,
    workloadAttestation: { trustDomain, formats: verifier.formats(), audience },
  };
  await server.register(acmeRoutes({ context, facts, bodyLimit: acme.bodyLimitBytes }), { prefix: "/acme" });
  return validations;
}

function createValidations({
  configuration: { validation, acme, externalUrl },
  foundation: { log },
  accounts,
  orders,
  onChallengeEnded,
  now,
}: Parts & Pick<AcmeContext, "accounts" | "orders" | "onChallengeEnded">): ValidationRunner {
  const outbound = createOutbound({ ...validation, userAgent: `Mayfly (ACME validation; +${externalUrl})` });
  const delaysMs = Array.from({ length: validation.attempts }, (_, index) => validation.retryDelayMs * 2 ** index);
  return createValidationRunner({
    orders,
    accounts,
    validate: (type, asked, signal) =>
      validateWithRetries(type, asked, outbound, { attempts: validation.attempts, delaysMs, signal }),
    now,
    patienceMs: validation.patienceMs,
    validSeconds: acme.orderLifetimeSeconds,
    onError: (error) => log.error({ err: error }, "a validation could not be finished and will be taken up again"),
    onEnded: onChallengeEnded,
  });
}

/** REST over the inventory below /api/v1; resolves to the file of the operator's token. */
async function mountInventory(server: FastifyInstance, { configuration, foundation, now }: Parts): Promise<string> {
  const { dataDir, externalUrl } = configuration;
  const operatorTokenFile = configuration.access.operatorTokenFile ?? path.join(dataDir, "operator-token");
  const inventory = inventoryRoutes({
    store: createInventoryStore(foundation.db),
    access: await openOperatorAccess(operatorTokenFile),
    externalUrl,
    chainPemOf: foundation.hierarchy.chainPemOf,
    now,
  });
  await server.register(inventory, { prefix: "/api/v1" });
  return operatorTokenFile;
}

/** Page, root, bundle, health and metrics. */
async function mountPublic(server: FastifyInstance, parts: Parts): Promise<void> {
  const { configuration, foundation, metrics, developmentKey } = parts;
  const { db, hierarchy, keys } = foundation;
  const root = new X509Certificate(hierarchy.rootCertificate);
  await server.register(
    publicRoutes({
      home: {
        externalUrl: configuration.externalUrl,
        trustDomain: configuration.trustDomain,
        rootName: root.subject.replaceAll("\n", ", "),
        rootFingerprint: root.fingerprint256.replaceAll(":", "").toLowerCase(),
        development: keys.development || developmentKey !== undefined,
      },
      rootPem: hierarchy.rootPem,
      bundle: spiffeBundle([hierarchy.rootCertificate], Math.floor(root.validFromDate.getTime() / 1000)),
      metrics,
      ready: createReadiness({ database: () => pingDatabase(db), signer: hierarchy.issuing.signer }),
      developmentJwks: developmentKey && { keys: [developmentKey] },
    }),
  );
}

/** The configured sources with their keys, and the development one where it is asked for. */
function openSources({ configuration, developmentKey, now }: Parts): Source[] {
  const fetchKeys = (url: string, options: Parameters<typeof fetchHttps>[1]) =>
    fetchHttps(url, { ...options, allowPrivate: true });
  const sources = configuration.attestation.sources.map((source) =>
    configureSource(source, openSourceKeys(source, { fetchHttps: fetchKeys, now })),
  );
  if (developmentKey === undefined) return sources;
  const issuer = `${configuration.externalUrl}/dev`;
  const development = configureSource(
    { ref: developmentRef, format: "jwt", issuer, jwksFile: "" },
    staticKeys({ keys: [developmentKey] }),
  );
  return [...sources, development];
}
