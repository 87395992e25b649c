/** The ACME room as the composition mounts it: its context, with validation and attestation behind it. */
import { randomBytes } from "node:crypto";
import type { FastifyInstance } from "fastify";

import type { AttestedOrderStore } from "./acme/attestedOrderPorts.ts";
import type { AcmeContext } from "./acme/context.ts";
import type { ValidationRunner, ValidationRunnerParts } from "./acme/challenges/runner.ts";
import { newId } from "./acme/id.ts";
import type { DirectoryFacts } from "./acme/directory.ts";
import type { Challenge, OrderStore } from "./acme/ports.ts";
import { createLru } from "./cache/lru.ts";
import { countFailures } from "./acme/limits/orderLimits.ts";
import type { SigningAccount } from "./acme/pipeline.ts";
import type { NonceSource } from "./acme/nonce.ts";
import { acmeRoutes } from "./acme/routes.ts";
import { acmePaths, createUrls, type AcmePaths } from "./acme/urls.ts";
import { openNonces } from "./openNonces.ts";
import { openValidations } from "./openValidations.ts";
import type { Parts } from "./parts.ts";
import { createAttestedOrderStore } from "./store/attestedOrders.ts";
import { createAccountStore } from "./store/accounts.ts";
import { createCertificateStore } from "./store/certificates.ts";
import { createLineageStore } from "./store/lineages.ts";
import { createOrderStore } from "./store/orders.ts";
import { createRenewalStore } from "./store/renewal.ts";

type Validate = ValidationRunnerParts["validate"];

/** What a test or a test-only launcher may put in place of the real thing. None of it can be configured. */
export interface AcmeReplacements {
  readonly paths?: AcmePaths;
  /** Of the default directory. */
  readonly prefix?: string;
  readonly nonces?: (nonces: NonceSource) => NonceSource;
  readonly orders?: (orders: OrderStore) => OrderStore;
  readonly attestedOrders?: (orders: AttestedOrderStore) => AttestedOrderStore;
  /** One attempt at a challenge. */
  readonly validate?: (validate: Validate) => Validate;
  /** Facts of the directory object. */
  readonly facts?: (facts: DirectoryFacts) => DirectoryFacts;
}

/** The ACME room, each directory below its prefix, with validation and attestation behind it. */
export async function mountAcme(
  server: FastifyInstance,
  parts: Parts,
  replacements: AcmeReplacements = {},
): Promise<ValidationRunner> {
  const { configuration, foundation, siblings, metrics, issuing, now } = parts;
  const { db, issuers } = foundation;
  const { verifier, policy } = parts.identities;
  const { acme, audience, externalUrl, trustDomain } = configuration;
  const { paths = acmePaths, nonces, orders: replaced = same, validate = same, facts = same } = replacements;
  const { attestedOrders: ofEvidence = same } = replacements;
  const rateLimits = parts.limits.rates;
  const orders = countFailures(replaced(createOrderStore(db, acme.rateLimits)), rateLimits);
  const onChallengeEnded = (challenge: Challenge): void => metrics.challengeAnswered(challenge);
  const directories = configuration.directories.map((configured) => {
    const prefix = configured.name === "default" ? (replacements.prefix ?? configured.prefix) : configured.prefix;
    return { ...configured, prefix, urls: createUrls(externalUrl, prefix, paths) };
  });
  const urlsOf = new Map(directories.map(({ name, urls }) => [name, urls]));
  const accounts = createAccountStore(db);
  const opened = openValidations(parts, { accounts, orders, validate, onChallengeEnded, urlsOf });
  const { validations } = opened;
  const shared = {
    nonces: (nonces ?? same)(await openNonces(db, siblings, metrics)),
    accounts,
    orders,
    attestedOrders: ofEvidence(createAttestedOrderStore(db, acme.rateLimits)),
    certificates: createCertificateStore(db),
    policy,
    delegations: parts.delegations.acme,
    issuing,
    renewals: createRenewalStore(db),
    lineages: createLineageStore(db),
    externalAccounts: parts.externalAccounts,
    issuerIdsOf: (identifier: Buffer) => issuers.issuerIdsOf(identifier),
    chainsOf: (issuerId: string) => issuers.chainsOf(issuerId, now()),
    ...opened,
    rateLimits,
    finalizes: parts.limits.finalizes,
    issuerDomainNames: configuration.issuerDomainNames,
    limits: acme,
    options: acme,
    audience,
    termsOfService: acme.termsOfService,
    termsInstructions: `${externalUrl}/#terms-of-service`,
    onChallengeEnded,
    now,
    newId: () => newId(now()),
    newToken: () => randomBytes(24).toString("base64url"),
  };
  for (const { name, prefix, profiles, urls, externalAccountRequired } of directories) {
    const own = { directory: name, urls, keys: createLru<string, SigningAccount>(5_000), profiles };
    const context: AcmeContext = { ...shared, ...own, externalAccountRequired };
    const object = facts({
      urls,
      profiles,
      website: acme.website ?? externalUrl,
      termsOfService: acme.termsOfService,
      caaIdentities: acme.caaIdentities,
      issuerDomainNames: acme.challenges.includes("dns-persist-01") ? configuration.issuerDomainNames : undefined,
      externalAccountRequired,
      subdomainAuthorizations: acme.subdomainAuthorizations,
      workloadAttestation: {
        trustDomain,
        formats: verifier.formats(),
        audience,
        delegation: parts.delegations.acme !== undefined,
      },
    });
    await server.register(acmeRoutes({ context, facts: object, paths, bodyLimit: acme.bodyLimitBytes }), { prefix });
  }
  return validations;
}

const same = <T>(thing: T): T => thing;
