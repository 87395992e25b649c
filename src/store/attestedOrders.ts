/** Orders that come with their evidence: implements `AttestedOrderStore` of the ACME room. One statement to the intent. */
import type { Admission, AttestedOrder, AttestedOrderStore } from "../acme/attestedOrderPorts.ts";
import type { Identifier, Signer } from "../acme/ports.ts";
import { isBlocked } from "./blockedKeys.ts";
import { byKeyReuse, keyConstraint } from "./certificateKeys.ts";
import { statement, violatedConstraint, type Database } from "./database.ts";
import { pinConstraint, pinInstances, pinValues, usedValues } from "./instancePins.ts";
import { insertIntent, intentParameters, intentValues, issuerIssues, mayIntend } from "./intents.ts";
import { agreed, countFailure, forgetFailures, pausedOf, type OrderLimits } from "./orderLimits.ts";
import { isQuarantined } from "./quarantines.ts";
import { replacing } from "./replacement.ts";
import { isAccountKey, isSigner, signerValues } from "./signer.ts";
import { isSuspended } from "./suspensions.ts";

/** True of an account `a` of the signer ($n to $n+2) that may order: then $n+3 is its key's digest, $n+4 the terms of service. */
const isAdmitted = (n: number, type: string, value: string): string =>
  `${isSigner("a", n)} and a.status = 'valid' and not ${isBlocked(`$${n + 3}`)} and ${agreed("a", `$${n + 4}`)}
       and not ${isQuarantined(value)} and not exists (select from ${pausedOf("a.id", `array[${type}]`, `array[${value}]`)})`;

/** The nth parameter after those of the intent. */
const $ = (n: number): string => `$${intentParameters + n}`;

// The intent's, then 1-5 see `isAdmitted` · 6 thumbprint of the certificate's key · 7 authorization · 8 its end · 9 challenges ·
// 10 attestation · 11 identifiers · 12 13 validity · 14 the order's end · 15-17 evidence · 18-22 instances
const intention = (
  owner: (signer: string) => string,
  keyed: string,
  also: { columns: string; values: string },
): string => {
  const admitted = isAdmitted(intentParameters + 1, "'uri'", "$9");
  const signer = `select a.id from account a
     where ${admitted} and not ${isAccountKey($(6))} and ${mayIntend}`;
  return `with ${owner(signer)}, z as (
     insert into acme_authorization
       (id, account_id, order_id, identifier_type, identifier_value, profile, status, expires_at, challenges, attestation)
     select ${$(7)}, owner.id, $5, 'uri', $9, $12, 'valid', ${$(8)}, ${$(9)}, ${$(10)} from owner
     returning id, account_id, identifier_type, identifier_value
   ), used as (
     insert into evidence_use (one_time_id, source, authorization_id, replay_until)
     select e.id, e.source, z.id, e.until
     from z, unnest(${$(15)}::bytea[], ${$(16)}::text[], ${$(17)}::timestamptz[]) as e(id, source, until)
   ), ${pinInstances("z", intentParameters + 18)}, resumed as (${forgetFailures("z")}
   ), moved as (
     insert into acme_order (id, account_id, status, identifiers, authorization_ids, authorizations_pending, profile, profile_hash,
                             not_before, not_after, expires_at${also.columns})
     select $5, z.account_id, 'processing', ${$(11)}, array[z.id], 0, $12, $13, ${$(12)}, ${$(13)}, ${$(14)}${also.values} from z
     returning id, replaces
   )${keyed}
   ${insertIntent("moved")}`;
};

const intend = byKeyReuse("attested_order_intend", (keyed) =>
  intention((signer) => `owner as (${signer})`, keyed, { columns: "", values: "" }),
);

/** 23 serial · 24 its id · 25 issuers */
const intendReplacing = byKeyReuse("attested_order_intend_replacing", (keyed) =>
  intention(
    (signer) =>
      replacing(signer, {
        order: "$5",
        serial: $(23),
        issuers: $(25),
        dns: "'{}'",
        ip: "'{}'",
        uri: "array[$9]",
        devices: "'{}'",
      }),
    keyed,
    { columns: ", replaces, replaces_id", values: `, ${$(23)}, ${$(24)}` },
  ),
);

const whyNotAdmitted = statement(
  "attested_order_why_not",
  `select ${isBlocked("$4")} as account_key_is_blocked, ${isQuarantined("$3")} as quarantined,
     exists (select from ${pausedOf("$1::uuid", "array[$2]", "array[$3]")}) as paused,
     ${isBlocked("$5")} as key_is_blocked, ${isAccountKey("$6")} as key_is_account_key`,
);

const issues = statement("attested_order_issuer", `select ${issuerIssues("$1")} as issues`);

const refused = statement(
  "attested_order_refused",
  `with z as (
     select a.id as account_id, $6::text as identifier_type, $7::text as identifier_value from account a
     where ${isAdmitted(1, "$6", "$7")}
   ), counted as (${countFailure("z", "$8")}
   ), audit as (
     insert into audit_entry (event, actor, subject, detail)
     select 'evidence.refused', 'account:' || account_id, 'account:' || account_id,
            jsonb_build_object('identifier', identifier_value, 'challenge', 'workload-attest-01', 'error', $9::jsonb)
     from z
     union all
     select 'identifier.paused', 'mayfly', 'account:' || account_id,
            jsonb_build_object('type', identifier_type, 'value', identifier_value, 'failures', failures)
     from counted where paused_at = now()
   )
   select account_id from z`,
);

interface WhyRow {
  account_key_is_blocked: boolean;
  quarantined: boolean;
  paused: boolean;
  key_is_blocked: boolean;
  key_is_account_key: boolean;
}

export function createAttestedOrderStore(
  db: Database,
  limits: Pick<OrderLimits, "pauseAfterFailures">,
): AttestedOrderStore {
  return {
    async intend(signer, attested, intent) {
      const { replaces } = attested.order;
      const values = [...intentValues(intent), ...admissionValues(signer, attested), ...orderValues(attested)];
      try {
        const rows =
          replaces === null
            ? await db.runGrouped(intend[intent.keyReuse], values)
            : await db.run(intendReplacing[intent.keyReuse], [
                ...values,
                replaces.serial,
                replaces.id,
                replaces.issuerIds,
              ]);
        if (rows.length === 1) return "intended";
        if (await isSuspended(db, intent)) return "suspended";
        const [issuer] = await db.run<{ issues: boolean }>(issues, [intent.issuerId]);
        return issuer?.issues === true ? "notIntended" : "notIssuing";
      } catch (error) {
        const violated = violatedConstraint(error);
        if (violated === "evidence_use_pkey") return "replayed";
        if (violated === pinConstraint) return "pinned";
        if (violated === keyConstraint) return "keyIsUsed";
        throw error;
      }
    },
    async whyNotAdmitted({ id }, { identifier, accountSpkiSha256 }, key) {
      const { type, value } = identifier;
      const keys = [accountSpkiSha256, key?.spkiSha256, key?.thumbprint];
      const [row] = await db.run<WhyRow>(whyNotAdmitted, [id, type, value, ...keys]);
      if (row?.account_key_is_blocked === true) return { reason: "blockedKey" };
      if (row?.quarantined === true) return { reason: "quarantined" };
      if (row?.paused === true) return { reason: "paused", identifiers: [identifier] };
      if (row?.key_is_account_key === true) return { reason: "keyIsAccountKey" };
      return row?.key_is_blocked === true ? { reason: "keyIsBlocked" } : undefined;
    },
    async refused(signer, admission, error) {
      const { type, value } = admission.identifier;
      const what = [type, value, limits.pauseAfterFailures, JSON.stringify(error)];
      return (await db.run(refused, [...admissionValues(signer, admission), ...what])).length === 1;
    },
  };
}

const admissionValues = (signer: Signer, { accountSpkiSha256, termsOfService }: Admission): unknown[] => [
  ...signerValues(signer),
  accountSpkiSha256,
  termsOfService ?? null,
];

/** 6 to 22. */
const orderValues = ({ order, authorization, key, ...uses }: AttestedOrder): unknown[] => [
  key.thumbprint,
  authorization.id,
  authorization.expiresAt,
  JSON.stringify(authorization.challenges),
  JSON.stringify(authorization.attestation),
  JSON.stringify(order.identifiers satisfies readonly Identifier[]),
  order.notBefore,
  order.notAfter,
  order.expiresAt,
  ...usedValues(uses),
  ...pinValues(uses),
];
