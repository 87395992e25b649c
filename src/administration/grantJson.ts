/** Grants as the REST interface shows them. */
import type { StandingGrant } from "../authority/standingGrants.ts";
import type { GrantVersion } from "./grantPorts.ts";

/** A grant that stands, whether it counts or not. */
export function standingJson(standing: StandingGrant): object {
  const { name, version, origin, owner, configuration, inactive, written } = standing;
  return {
    name,
    version,
    origin,
    state: inactive === undefined ? "active" : "inactive",
    reason: inactive ?? null,
    owner,
    grant: configuration,
    sequence: written?.sequence ?? null,
    comment: written?.comment ?? null,
    createdAt: written?.createdAt.toISOString() ?? null,
    createdBy: written?.createdBy ?? null,
  };
}

/** One version of a grant. */
export function versionJson(found: GrantVersion): object {
  const { name, version, origin, owner, configuration, sequence, comment, createdAt, createdBy } = found;
  return {
    name,
    version,
    origin,
    owner,
    grant: configuration,
    sequence,
    comment,
    createdAt: createdAt.toISOString(),
    createdBy,
    endedAt: found.endedAt?.toISOString() ?? null,
    endedBy: found.endedBy,
    endedAs: found.endedAs,
  };
}
