/** A SPIFFE ID or device is one that its grant could give: the template of the grant, read anew, can make this very name. */
import { couldMake, readIdentity } from "../grantedIdentity.ts";
import type { DecisionLint } from "./lint.ts";
import { isWorkloadId } from "./names.ts";

export const nameWithinGrant: DecisionLint = {
  name: "nameWithinGrant",
  about: "decision",
  source: "workload-attest-01, rule 5",
  holds: ({ values: { subjectAltName } }, { authorized: { granted } }) =>
    subjectAltName === undefined ||
    [...subjectAltName.uri.filter(isWorkloadId), ...subjectAltName.permanentIdentifiers].every((name) => {
      const identity = readIdentity(name);
      return identity !== undefined && granted.some((one) => one.name === name && couldMake(one.identity, identity));
    }),
};
