/** REST and public resources as the composition mounts them. */
import { X509Certificate } from "node:crypto";
import path from "node:path";
import type { FastifyInstance } from "fastify";

import { openOperatorAccess } from "./access/operatorToken.ts";
import { bindingValue } from "./acme/challenges/keyAuthorization.ts";
import { newId } from "./acme/id.ts";
import { blockedKeyRoutes } from "./administration/blockedKeys.ts";
import { externalAccountRoutes } from "./administration/externalAccounts.ts";
import { certificateListAdministration } from "./administration/certificateLists.ts";
import { delegationRoutes, readDelegation } from "./administration/delegations.ts";
import { explainRoutes } from "./administration/explain.ts";
import { grantRoutes } from "./administration/grants.ts";
import { incidentRoutes } from "./administration/incidents.ts";
import { instancePinRoutes } from "./administration/instancePins.ts";
import { issuerRevocationRoutes } from "./administration/issuerRevocations.ts";
import { issuerRoutes } from "./administration/issuers.ts";
import { limitRoutes } from "./administration/limits.ts";
import { quarantineRoutes } from "./administration/quarantines.ts";
import { LinesNotIssuing, testIssuingKeys } from "./authority/testIssuingKeys.ts";
import { revocationRoutes } from "./administration/revocations.ts";
import { suspensionRoutes } from "./administration/suspensions.ts";
import { identityNameOf } from "./authority/identityName.ts";
import { postQuantumBundle, spiffeBundle } from "./http/bundle.ts";
import { publicRoutes } from "./http/publicRoutes.ts";
import { createReadiness, NotReady } from "./http/readiness.ts";
import { profileRoutes } from "./inventory/profiles.ts";
import { inventoryRoutes } from "./inventory/routes.ts";
import { administrationOf, forgetFailures, limitSentences } from "./openLimits.ts";
import type { Parts } from "./parts.ts";
import { createBlockedKeyStore } from "./store/blockedKeys.ts";
import { createEvidenceUseStore } from "./store/evidenceUses.ts";
import { createIncidentStore } from "./store/incidents.ts";
import { createInstancePinStore } from "./store/instancePinList.ts";
import { createInventoryStore } from "./store/inventory.ts";
import { pingDatabase } from "./store/maintenance.ts";
import { createPauseStore } from "./store/pauses.ts";
import type { InstancePinStore } from "./administration/pinPorts.ts";
import type { QuarantineStore } from "./administration/quarantinePorts.ts";
import { createProfileStore } from "./store/profiles.ts";
import { createIssuerRevocationStore } from "./store/revokedIssuers.ts";
import { createIssuerStore } from "./store/issuers.ts";
import { outlookOf, revokeIssuer } from "./authority/revokeIssuer.ts";
import { createQuarantineStore } from "./store/quarantines.ts";
import { createSuspensionStore } from "./store/suspensions.ts";

/** Grants that may stand in the database at the same time. */
const grantsMax = 10_000;

/**
 * REST below /api/v1, for whoever has the operator's token: the inventory, and the state that operators administer. Resolves to the
 * token's file.
 */
export async function mountOperatorRest(server: FastifyInstance, parts: Parts): Promise<string> {
  const { configuration, foundation, limits, externalAccounts, delegations, now } = parts;
  const { dataDir, externalUrl } = configuration;
  const operatorTokenFile = configuration.access.operatorTokenFile ?? path.join(dataDir, "operator-token");
  const access = await openOperatorAccess(operatorTokenFile);
  const inventory = inventoryRoutes({
    store: createInventoryStore(foundation.db),
    externalUrl,
    delegationOf: (asked) =>
      readDelegation(asked, delegations.administration.sources, delegations.administration.pseudonym).pseudonym,
    chainPemOf: (issuerId) => foundation.issuers.chainsOf(issuerId, now())[0]?.pem,
    now,
  });
  const keptProfiles = profileRoutes(createProfileStore(foundation.db));
  const incidents = incidentRoutes({
    store: createIncidentStore(foundation.db),
    externalUrl,
    now,
    newId: () => newId(now()),
  });
  const ends = delegationRoutes({ ...delegations.administration, now, newId: () => newId(now()) });
  const limitAdministration = limitRoutes({
    rates: administrationOf(limits),
    pauses: createPauseStore(foundation.db),
    onResumed: (resumed) => forgetFailures(limits, resumed),
  });
  const blockedKeys = blockedKeyRoutes({ store: createBlockedKeyStore(foundation.db), externalUrl });
  const externalAccountKeys = externalAccountRoutes({
    store: externalAccounts,
    externalUrl,
    trustDomain: configuration.trustDomain,
    directories: new Map(configuration.directories.map(({ name, profiles }) => [name, new Set(profiles.keys())])),
    now,
    newId: () => newId(now()),
  });
  const revocations = revocationRoutes({
    ...parts.revocationActions,
    pseudonym: delegations.administration.pseudonym,
    delegationSources: delegations.administration.sources,
    hasSource: (ref) => parts.identities.verifier.sources.has(ref),
    informationLifetimeMs: informationLifetimeMs(parts.configuration),
    externalUrl,
    now,
    newId: () => newId(now()),
  });
  const suspensions = suspensionRoutes({ store: createSuspensionStore(foundation.db) });
  const pins = createInstancePinStore(foundation.db);
  const quarantineStore = createQuarantineStore(foundation.db);
  const policy = policyRoutes(parts, pins, quarantineStore);
  const instancePins = instancePinRoutes({ store: pins });
  const quarantines = quarantineRoutes({ store: quarantineStore, externalUrl, identityNameOf });
  const certificateLists = certificateListAdministration({
    all: () => parts.revocation.lists.all(),
    urlOf: ({ issuerId, shard }) =>
      foundation.issuers
        .listIssuers()
        .find(({ id }) => id === issuerId)
        ?.listUrl(shard),
  });
  const issuers = issuerRoutes({
    rotation: parts.rotation,
    outstanding: (id) => parts.rotation.outstanding(id),
    certify: (issuer, arrival) => parts.rotation.certify(issuer, arrival),
    externalUrl,
  });
  const revoking = {
    store: { ...createIssuerStore(foundation.db), ...createIssuerRevocationStore(foundation.db) },
    issuers: foundation.issuers,
    now,
  };
  const issuerRevocations = issuerRevocationRoutes({
    outlook: (id) => outlookOf(id, revoking),
    revoke: (id, said) => revokeIssuer(id, said, revoking),
    outstanding: (id) => parts.rotation.outstanding(id),
  });
  const administered = [
    issuers,
    issuerRevocations,
    ...policy,
    incidents,
    limitAdministration,
    blockedKeys,
    revocations,
    suspensions,
    externalAccountKeys,
    instancePins,
    quarantines,
    ends,
    certificateLists,
  ];
  await server.register(
    async (rest) => {
      rest.addHook("onRequest", async (request, reply) => {
        access.require(request.headers.authorization);
        reply.header("cache-control", "no-store");
      });
      for (const routes of [inventory, keptProfiles, ...administered]) await rest.register(routes);
    },
    { prefix: "/api/v1" },
  );
  return operatorTokenFile;
}

/** How long what relying parties are told counts, at most. */
const informationLifetimeMs = ({ revocation }: Parts["configuration"]): number =>
  Math.max(revocation.crlLifetimeSeconds, revocation.ocspLifetimeSeconds) * 1000;

/** Grants, and why they give an identity or do not. */
function policyRoutes(
  { configuration, foundation, identities, now }: Parts,
  pins: InstancePinStore,
  quarantines: QuarantineStore,
) {
  const { externalUrl, audience, profiles } = configuration;
  const { policy, verifier, standing } = identities;
  const grants = grantRoutes({
    store: identities.store,
    standing,
    read: identities.readGrant,
    externalUrl,
    most: grantsMax,
  });
  const explanations = explainRoutes({
    verifier,
    accept: (spiffeId, profile, delegatedBy) =>
      policy.candidates(spiffeId, { ...(profile !== undefined && { profile }), order: { delegatedBy } }).accept,
    standing,
    audience,
    uses: createEvidenceUseStore(foundation.db),
    pins,
    quarantines,
    profiles,
    bindingOf: bindingValue,
    now,
  });
  return [grants, explanations];
}

/** Page, root, bundle, health and metrics. */
export async function mountPublic(server: FastifyInstance, parts: Parts): Promise<void> {
  const { configuration, foundation, metrics, developmentKey } = parts;
  const { db, issuers, keys } = foundation;
  const roots = (): Buffer[] => issuers.roots().map(({ certificate }) => certificate);
  await server.register(
    publicRoutes({
      home: {
        directories: parts.configuration.directories.map(({ prefix }) => prefix),
        externalUrl: configuration.externalUrl,
        revocationUrl: configuration.revocation.publicUrl,
        trustDomain: configuration.trustDomain,
        roots: () => roots().map(describeRoot),
        termsOfService: configuration.acme.termsOfService,
        development: keys.development || developmentKey !== undefined,
      },
      limits: limitSentences(parts.limits, parts.configuration),
      rootPem: () => issuers.rootPem(),
      caCertificate: (at) => issuers.published().get(at),
      bundle: () => spiffeBundle(roots(), issuers.bundleSequence()),
      postQuantum: {
        rootPem: () => issuers.postQuantumRootPem(),
        bundle: () => postQuantumBundle(roots(), issuers.bundleSequence()),
      },
      metrics,
      ready: createReadiness({
        database: () => pingDatabase(db),
        key: () => ({ probe: () => tryLines(parts) }),
      }),
      warnings: () => parts.revocation.late(),
      developmentJwks: developmentKey && { keys: [developmentKey] },
    }),
  );
  await server.register(parts.revocation.routes);
}

/** Which lines issue nothing is no secret: their names stand in the certificates of their CAs. */
async function tryLines({ foundation: { issuers }, configuration }: Parts): Promise<void> {
  try {
    await testIssuingKeys(issuers, configuration.issuerLines.issuing.keys());
  } catch (error) {
    throw error instanceof LinesNotIssuing ? new NotReady(error.message, { cause: error.cause }) : error;
  }
}

function describeRoot(der: Buffer): { name: string; fingerprint: string } {
  const { subject, fingerprint256 } = new X509Certificate(der);
  return { name: subject.replaceAll("\n", ", "), fingerprint: fingerprint256.replaceAll(":", "").toLowerCase() };
}
