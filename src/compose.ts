/** The composition root: configuration → every object, in dependency order. No container, no autoload; read it from top to bottom. */
import { randomBytes, X509Certificate } from "node:crypto";
import { mkdirSync, promises as fs } from "node:fs";
import path from "node:path";
import type { FastifyInstance } from "fastify";

import { openOperatorAccess } from "./access/operatorToken.ts";
import type { AcmeContext } from "./acme/context.ts";
import { createOutbound, fetchHttps } from "./acme/challenges/outbound.ts";
import { createValidationRunner } from "./acme/challenges/runner.ts";
import { validateWithRetries } from "./acme/challenges/validators.ts";
import { newId } from "./acme/id.ts";
import { createLru } from "./acme/lru.ts";
import { createNonceSource } from "./acme/nonce.ts";
import { acmeRoutes } from "./acme/routes.ts";
import { createUrls } from "./acme/urls.ts";
import { openSourceKeys, staticKeys } from "./attestation/jwks.ts";
import { configureSource, type Source } from "./attestation/sources.ts";
import { createVerifier } from "./attestation/verify.ts";
import { createIssuing } from "./authority/issue.ts";
import type { Hierarchy } from "./authority/issuer.ts";
import { createIdentityPolicy } from "./authority/policy.ts";
import type { IssuanceLedger } from "./authority/ports.ts";
import { developmentRef, type Configuration } from "./config/load.ts";
import { openDevIssuer } from "./development/devIssuer.ts";
import { spiffeBundle } from "./http/bundle.ts";
import { createMetrics } from "./http/metrics.ts";
import { publicRoutes } from "./http/publicRoutes.ts";
import { createServer } from "./http/server.ts";
import { inventoryRoutes } from "./inventory/routes.ts";
import { openFoundation, type Foundation } from "./foundation.ts";
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
  const { externalUrl, dataDir } = configuration;
  const accounts = createAccountStore(db);
  const orders = createOrderStore(db);
  const certificates = createCertificateStore(db);
  const ledger = (replacements.ledger ?? ((real) => real))(createIssuanceLedger(db));
  const metrics = createMetrics({ statements: () => db.statistics.statements });

  const issuing = createIssuing({
    ledger,
    issuer: () => hierarchy.issuing,
    issuerById: (id) => (id === hierarchy.issuing.id ? hierarchy.issuing : undefined),
    now,
    onUnfinished: (serial, error) => {
      metrics.issuanceUnfinished();
      log.error({ err: error, serial: serial.toString("hex") }, "an issuance is unfinished and will be settled");
    },
  });
  await issuing.settle(now()); // What an earlier process left between intent and record is finished before anything new begins.

  const developmentIssuer = configuration.attestation.developmentSource
    ? await openDevIssuer(path.join(dataDir, "dev-issuer.jwk"))
    : undefined;
  const verifier = createVerifier(openSources(configuration, developmentIssuer?.publicJwk, now));
  const policy = createIdentityPolicy({
    trustDomain: configuration.trustDomain,
    grants: configuration.grants,
    verifier,
    onRefused: (spiffeId, nearest) =>
      log.info({ spiffeId, ...nearest }, "no grant gives this identity to this evidence"),
  });

  const { validation } = configuration;
  const outbound = createOutbound({ ...validation, userAgent: `Mayfly (ACME validation; +${externalUrl})` });
  const delaysMs = Array.from({ length: validation.attempts }, (_, index) => validation.retryDelayMs * 2 ** index);
  const validations = createValidationRunner({
    orders,
    accounts,
    validate: (type, asked, signal) =>
      validateWithRetries(type, asked, outbound, { attempts: validation.attempts, delaysMs, signal }),
    now,
    patienceMs: validation.patienceMs,
    validSeconds: configuration.acme.orderLifetimeSeconds,
    onError: (error) => log.error({ err: error }, "a validation could not be finished and will be taken up again"),
  });

  const urls = createUrls(externalUrl);
  const context: AcmeContext = {
    urls,
    nonces: createNonceSource(),
    keys: createLru(5_000),
    accounts,
    orders,
    certificates,
    policy,
    profiles: configuration.profiles,
    issuing,
    chainPemOf: hierarchy.chainPemOf,
    validations,
    limits: configuration.acme,
    audience: configuration.audience,
    termsOfService: configuration.acme.termsOfService,
    now,
    newId: () => newId(now()),
    newToken: () => randomBytes(24).toString("base64url"),
  };
  const facts = {
    urls,
    profiles: configuration.profiles,
    website: configuration.acme.website ?? externalUrl,
    termsOfService: configuration.acme.termsOfService,
    workloadAttestation: {
      trustDomain: configuration.trustDomain,
      formats: verifier.formats(),
      audience: configuration.audience,
    },
  };

  const operatorTokenFile = configuration.access.operatorTokenFile ?? path.join(dataDir, "operator-token");
  const access = await openOperatorAccess(operatorTokenFile);
  await fs.writeFile(path.join(dataDir, "root.pem"), hierarchy.rootPem);

  const listener = createListener(configuration, hierarchy, issuing, now);
  const server = createServer({
    tls: await listener.tls(),
    logLevel: configuration.log.level,
    bodyLimit: 65_536,
    onRequestDone: (request) => metrics.observeRequest(request),
  });
  const root = new X509Certificate(hierarchy.rootCertificate);
  await server.register(acmeRoutes({ context, facts, bodyLimit: configuration.acme.bodyLimitBytes }), {
    prefix: "/acme",
  });
  const inventory = inventoryRoutes({
    store: createInventoryStore(db),
    access,
    externalUrl,
    chainPemOf: hierarchy.chainPemOf,
    now,
  });
  await server.register(inventory, { prefix: "/api/v1" });
  await server.register(
    publicRoutes({
      home: {
        externalUrl,
        trustDomain: configuration.trustDomain,
        rootName: root.subject.replaceAll("\n", ", "),
        rootFingerprint: root.fingerprint256.replaceAll(":", "").toLowerCase(),
        development: keys.development || developmentIssuer !== undefined,
      },
      rootPem: hierarchy.rootPem,
      bundle: spiffeBundle([hierarchy.rootCertificate], Math.floor(root.validFromDate.getTime() / 1000)),
      metrics,
      ready: createReadiness({ database: () => pingDatabase(db), signer: hierarchy.issuing.signer }),
      developmentJwks: developmentIssuer && { keys: [developmentIssuer.publicJwk] },
    }),
  );

  await validations.resume(now());
  const work = startWork({
    db,
    issuing,
    validations,
    metrics,
    log,
    now,
    orderLifetimeSeconds: configuration.acme.orderLifetimeSeconds,
  });
  const renewal = listener.keepFresh(server, (error) =>
    log.error({ err: error }, "the listener's certificate could not be renewed"),
  );

  return {
    server,
    hierarchy,
    configuration,
    keys,
    operatorTokenFile,
    firstStart: foundation.firstStart,
    async close() {
      renewal.stop();
      await server.close();
      await validations.stop();
      await work.stop();
      await foundation.close();
    },
  };
}

/** The configured sources with their keys, and the development one where it is asked for. */
function openSources(
  configuration: Configuration,
  developmentKey: Readonly<Record<string, string>> | undefined,
  now: () => Date,
): Source[] {
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

/** Makes the data directory, for its owner only. */
export function makeDataDirectory(directory: string): void {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
}
