/** What the parts of the composition share. */
import type { ExternalAccountKeys } from "./acme/externalAccountPorts.ts";
import type { ExternalAccountKeyStore } from "./administration/externalAccountPorts.ts";
import type { Configuration } from "./config/load.ts";
import type { Foundation } from "./foundation.ts";
import type { Metrics } from "./http/metrics.ts";
import type { Identities } from "./openIdentities.ts";
import type { Limits } from "./openLimits.ts";
import type { Issuing } from "./authority/issue.ts";
import type { SourceSurroundings } from "./attestation/format.ts";
import type { OpenDelegations } from "./openDelegations.ts";
import type { OpenRevocation } from "./openRevocation.ts";
import type { RevocationActions } from "./openRevocationActions.ts";
import type { OpenRotation } from "./openRotation.ts";
import type { Siblings } from "./store/siblings.ts";

/** Made once by `compose.ts`, handed to every mount. */
export interface Parts {
  readonly configuration: Configuration;
  readonly foundation: Foundation;
  readonly siblings: Siblings;
  readonly metrics: Metrics;
  readonly issuing: Issuing;
  readonly limits: Limits;
  readonly identities: Identities;
  readonly externalAccounts: ExternalAccountKeyStore & ExternalAccountKeys;
  /** What sources of evidence and delegations may use of the world. */
  readonly surroundings: SourceSurroundings;
  readonly delegations: OpenDelegations;
  readonly revocation: OpenRevocation;
  readonly revocationActions: RevocationActions;
  readonly rotation: OpenRotation;
  /** Public JWK of the development evidence source, where there is one. */
  readonly developmentKey: Readonly<Record<string, string>> | undefined;
  readonly now: () => Date;
}
