/** Who may have which SPIFFE ID: evidence sources, grants of configuration and database, and the policy over both. */
import { verifyJwt } from "./attestation/formats/jwt.ts";
import { staticKeys } from "./attestation/jwks.ts";
import { openSource, sourceFacts, type Source } from "./attestation/sources.ts";
import { configureTokenSource } from "./attestation/tokenSource.ts";
import { createVerifier, type Verifier } from "./attestation/verify.ts";
import type { Grant } from "./authority/grants.ts";
import { readGrant } from "./authority/grantReader.ts";
import { createIdentityPolicy } from "./authority/policy.ts";
import { createStandingGrants, type StandingGrants } from "./authority/standingGrants.ts";
import { developmentRef } from "./config/grants.ts";
import type { Parts } from "./parts.ts";
import { createGrantStore, type GrantDatabase } from "./store/grants.ts";

export interface Identities {
  readonly verifier: Verifier;
  readonly policy: ReturnType<typeof createIdentityPolicy>;
  readonly standing: StandingGrants;
  readonly store: GrantDatabase;
  /** Reads a grant for the database. @throws {GrantRefused} */
  readonly readGrant: (name: string, written: object) => Grant;
}

/** Opens the sources and reads the grants; keeps the texts of the configured ones, so that it can be said later what they were. */
export async function openIdentities(parts: Omit<Parts, "identities">): Promise<Identities> {
  const { configuration, foundation, siblings } = parts;
  const { log } = foundation;
  const { trustDomain, profiles, grants: configured } = configuration;
  const verifier = createVerifier(openSources(parts));
  const store = createGrantStore(foundation.db);
  const delegations = configuration.delegation.sources.map(({ ref }) => ref);
  const surroundings = { trustDomain, profiles, sources: verifier.sources, delegations };
  const standing = createStandingGrants({
    configured,
    surroundings,
    changes: store,
    onInactive: ({ name, version, inactive }) =>
      log.error({ grant: name, version, reason: inactive }, "a grant of the database does not count"),
  });
  await store.recordConfigured(configured);
  await standing.reread();
  const hear = (): void =>
    void standing.reread().catch((error: unknown) => log.warn({ err: error }, "changed grants cannot be read now"));
  siblings.subscribe({ onMessage: () => undefined, onLost: () => undefined, onGrantsChanged: hear });
  const onRefused = (spiffeId: string, nearest: object): void =>
    log.info({ spiffeId, ...nearest }, "no grant gives this identity to this evidence");
  const policy = createIdentityPolicy({
    trustDomain,
    grants: () => standing.active(),
    verifier,
    onRefused,
    reread: () => standing.reread(),
  });
  return { verifier, policy, standing, store, readGrant: (name, written) => readGrant(name, written, surroundings) };
}

/** The configured sources with their keys, and the development one where it is asked for. */
function openSources({ configuration, developmentKey, surroundings }: Omit<Parts, "identities">): Source[] {
  const sources = configuration.attestation.sources.map((settings) => openSource(settings, surroundings));
  return developmentKey === undefined ? sources : [...sources, developmentSource(configuration, developmentKey)];
}

function developmentSource({ externalUrl }: Parts["configuration"], key: NonNullable<Parts["developmentKey"]>): Source {
  const settings = { ref: developmentRef, format: "jwt", issuer: `${externalUrl}/dev` };
  const source = configureTokenSource(settings, staticKeys({ keys: [key] }));
  return {
    ...sourceFacts(settings),
    issuer: settings.issuer,
    tokenAuthorityUrl: undefined,
    verify: (item, context) => verifyJwt(item, source, context),
  };
}
