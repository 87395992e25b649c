/** Every requirement that the project knows: of ACME's documents, and of what attacks and faults must not achieve. */
import type { Requirement, RequirementList } from "./requirement.ts";
import { caa, rfc8737, rfc8738, rfc8739, rfc9115, rfc9444, rfc9447, rfc9773 } from "./requirements/companions.ts";
import { deviceAttest, dnsAccount, dnsPersist, profiles, rats, uriIdentifier } from "./requirements/drafts.ts";
import * as hostile from "./requirements/hostile.ts";
import * as flow from "./requirements/rfc8555Flow.ts";
import { rfc8555Resources, rfc8555Transport } from "./requirements/rfc8555Transport.ts";

export const documents: readonly RequirementList[] = [
  rfc8555Transport,
  rfc8555Resources,
  flow.rfc8555Accounts,
  flow.rfc8555Orders,
  flow.rfc8555Authorizations,
  flow.rfc8555Challenges,
  rfc8737,
  rfc8738,
  rfc8739,
  rfc9115,
  rfc9444,
  rfc9447,
  caa,
  rfc9773,
  profiles,
  deviceAttest,
  dnsPersist,
  dnsAccount,
  rats,
  uriIdentifier,
];

export const attacks: readonly RequirementList[] = [
  hostile.hostileAccess,
  hostile.hostileSignatures,
  hostile.hostileValidation,
  hostile.hostileNames,
  hostile.hostileIssuance,
  hostile.hostileLoad,
  hostile.hostileFaults,
];

/** By id. */
export const requirements: ReadonlyMap<string, Requirement> = new Map(
  [...documents, ...attacks].flatMap((list) => Object.entries(list.requirements)),
);
