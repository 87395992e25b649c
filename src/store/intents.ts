/**
 * The part of issuing that every statement has which writes an intent: finalize's, and that of an order which comes with its evidence. What
 * must hold of an intent stands here once.
 */
import type { Intent } from "../authority/ports.ts";
import { isBlocked } from "./blockedKeys.ts";
import { delegationLives } from "./delegations.ts";
import { grantStands } from "./grantStands.ts";
import { isQuarantined } from "./quarantines.ts";
import { notSuspended } from "./revocationSelection.ts";

const intentColumns = `serial, tbs, issuer_id, door, order_id, account_id, identity_kind, identity_name, spiffe_id, dns_names,
  ip_addresses, profile, profile_hash, spki_sha256, evidence, not_before, not_after, permanent_identifier`;

/** How many parameters a statement that writes an intent begins with. */
export const intentParameters = 20;

/**
 * The parameters $1 to $20 of a statement that writes an intent, in the order of the columns; behind $17 come the grant of `mayIntend` and
 * the last column.
 */
export const intentValues = (intent: Intent): unknown[] => [
  intent.serial,
  intent.tbs,
  intent.issuerId,
  intent.door,
  intent.orderId,
  intent.accountId,
  intent.identityKind,
  intent.identityName,
  intent.spiffeId,
  intent.dnsNames,
  intent.ipAddresses,
  intent.profile,
  intent.profileHash,
  intent.spkiSha256,
  JSON.stringify(intent.evidence),
  intent.notBefore,
  intent.notAfter,
  intent.storedGrant?.name ?? null,
  intent.storedGrant?.version ?? null,
  intent.permanentIdentifier,
];

/**
 * True where this issuer issues, as the database has it. A process is behind it by two seconds at most: what was active a moment ago still
 * counts, and what was so for longer does not, whatever a process believes that was held up.
 */
export const issuerIssues = (id: string): string => `exists (
       select from issuer
       where id = ${id} and revoked_at is null and (state = 'active' or state = 'retiring' and retiring_at > now() - interval '10 seconds'))`;

/** True where an intent for an order may be written now; for the WHERE of what moves or makes the order. */
export const mayIntend = `exists (select from account where id = $6 and status = 'valid') and ${grantStands("$18", "$19")}
       and not ${isQuarantined("$8")} and not ${isBlocked("$14")} and ${delegationLives("$15")} and ${issuerIssues("$3")}
       and ${notSuspended("$15", "$3::uuid")}`;

/** True where all authorizations of the order `o` are valid now. */
export const isAuthorized = (o: string): string => `not exists (
       select from acme_authorization z
       where z.id = any(${o}.authorization_ids) and (z.status <> 'valid' or z.expires_at <= now()))`;

/**
 * The end of such a statement: a row where it wrote one. Without an order (the listener's own certificate) the intent stands alone. There
 * is no `on conflict` on purpose: a serial that is taken is an error, here by the intents' key and at record by the certificates' key.
 * @param moved CTE with `replaces` of the order, which has a row where the order is `processing` now
 */
export const insertIntent = (moved: string, also = { columns: "", values: "" }): string =>
  `insert into issuance_intent (${intentColumns}, replaces${also.columns})
   select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $20, (select replaces from ${moved})${also.values}
   where $5::uuid is null and ${issuerIssues("$3")} or exists (select from ${moved})
   returning serial`;
