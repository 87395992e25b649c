/**
 * Issue: the one way to a signature on a certificate, for every door. Intent before signature, record before release.
 */
import { hash, randomBytes as systemRandomBytes } from "node:crypto";

import { KeyUnavailable } from "../keys/signer.ts";
import type { PublicKey } from "../x509/publicKey.ts";
import type { Authorized } from "./authorize.ts";
import { identityNameOf } from "./identityName.ts";
import type { Issuer, Issuers } from "./issuer.ts";
import { lint, LintFailed, type LintedCertificate } from "./lint.ts";
import { type IntendedCertificate, lintIntent } from "./lintIntent.ts";
import type { Intent, IssuanceLedger, NotIntended, OpenIntent, RefusedIssuance } from "./ports.ts";
import { prepare, type PreparedCertificate } from "./prepare.ts";
import { ValidityRefused, validityOf } from "./profile.ts";
import { serialRandomOctets } from "./serialNumber.ts";
import { signCertificate } from "./signCertificate.ts";

export interface IssuingParts {
  readonly ledger: IssuanceLedger;
  readonly issuers: Pick<Issuers, "active" | "byId" | "reread">;
  readonly now: () => Date;
  readonly randomBytes?: (size: number) => Buffer;
  /** Told of a failure after the intent; the settling job will finish it. */
  readonly onUnfinished: (serial: Buffer, error: unknown) => void;
  /** Told of what the lints stopped, whether it could be written down or not. */
  readonly onRefused: (refused: Refused) => void;
}

/** An issuance that lints stopped; of an intent that was there before, what is known without reading it. */
export type Refused = Pick<RefusedIssuance, "serial" | "findings" | "tbsSha256"> & Partial<RefusedIssuance>;

export type IssueOutcome =
  | { readonly outcome: "issued"; readonly serial: Buffer; readonly certificate: Buffer; readonly issuer: Issuer }
  /** The order was not `ready` any more: another request won, or an authorization ended. Nothing was changed. */
  | { readonly outcome: "notReady" }
  /** The identity is in quarantine, the key is blocked or used already, or the renewal is refused. */
  | { readonly outcome: Exclude<NotIntended, "notReady" | "notIssuing"> }
  /** The intent is committed but no certificate is recorded yet (token or database away): it will be settled. */
  | { readonly outcome: "unfinished"; readonly serial: Buffer };

/** What became of intents: finished, ended, or left for a later round. */
export interface SettleCounts {
  recorded: number;
  abandoned: number;
  open: number;
}

/** Writes the intent, with the promise of `IssuanceLedger.intend`. */
export type Intend = IssuanceLedger["intend"];

export interface Issuing {
  /**
   * @param intend in place of the ledger's own, where one statement does more than move an order that is `ready`. What it throws is the
   *   outcome, and nothing is signed.
   * @throws {KeyUnavailable} where no signature can be had now; nothing was written · {LintFailed} which was written down; the order is
   *   invalid
   */
  issue(authorized: Authorized, publicKey: PublicKey, intend?: Intend): Promise<IssueOutcome>;
  /** Finishes or abandons intents older than `before`; resolves to how many of each. */
  settle(before: Date): Promise<SettleCounts>;
}

/** How often an issuance is begun: the second time by the issuer that the database has. */
const attempts = 2;

/** How many intents settling takes from the ledger at a time. */
const settleBatch = 100;

export function createIssuing(parts: IssuingParts): Issuing {
  const { ledger, now, onUnfinished } = parts;
  const randomBytes = parts.randomBytes ?? systemRandomBytes;

  /** By what is active now. An issuer that another process has replaced a moment ago is another's turn: the next one signs. */
  async function issue(
    authorized: Authorized,
    publicKey: PublicKey,
    intend: Intend = (intent) => ledger.intend(intent),
  ): Promise<IssueOutcome> {
    for (let attempt = 1; ; attempt++) {
      const outcome = await issueBy(parts.issuers.active(authorized.profile.issuer), authorized, publicKey, intend);
      if (outcome.outcome !== "notIssuing") return outcome;
      if (attempt === attempts) throw new KeyUnavailable("the issuers are changing at this moment");
      await parts.issuers.reread();
    }
  }

  async function issueBy(
    issuer: Issuer,
    authorized: Authorized,
    publicKey: PublicKey,
    intend: Intend,
  ): Promise<IssueOutcome | { outcome: "notIssuing" }> {
    issuer.key.requireReady(); // While nothing is written, whoever asks may simply ask again.
    const linted = await lintOrRefuse(prepareBy(issuer, authorized, publicKey));
    const intended = await intend(intentOf(linted));
    if (intended !== "intended") return { outcome: intended };
    const serial = linted.serialNumber;
    try {
      const certificate = await signCertificate(linted, issuer.key);
      // False: the settling job was faster, and what it recorded (or abandoned) counts; this certificate is never released.
      if (!(await ledger.record(serial, certificate))) return { outcome: "unfinished", serial };
      return { outcome: "issued", serial, certificate, issuer };
    } catch (error) {
      onUnfinished(serial, error);
      return { outcome: "unfinished", serial };
    }
  }

  /** An issuer that ends too soon for what profile and evidence allow is no fault of who asks: the next one will do. */
  function prepareBy(issuer: Issuer, authorized: Authorized, publicKey: PublicKey): PreparedCertificate {
    const at = now();
    try {
      return prepare(authorized, publicKey, issuer, { now: at, random: randomBytes(serialRandomOctets) });
    } catch (error) {
      if (!(error instanceof ValidityRefused) || !isAllowed(authorized, at)) throw error;
      throw new KeyUnavailable(`the issuer of the line ${issuer.name} ends too soon: ${error.message}`);
    }
  }

  /** Our own fault, and told as such: by an event and an audit entry, in the log and in the metrics. */
  async function lintOrRefuse(prepared: PreparedCertificate): Promise<LintedCertificate> {
    try {
      return lint(prepared);
    } catch (error) {
      if (!(error instanceof LintFailed)) throw error;
      const refused: RefusedIssuance = {
        ...intentOf(prepared),
        findings: error.findings,
        tbsSha256: hash("sha256", prepared.tbs, "buffer"),
      };
      parts.onRefused(refused);
      await ledger.refuse(refused);
      throw error;
    }
  }

  async function settle(before: Date): Promise<SettleCounts> {
    const counts: SettleCounts = { recorded: 0, abandoned: 0, open: 0 };
    for (;;) {
      const intents = await ledger.openIntents(before, settleBatch);
      await settleAll(intents, counts);
      if (intents.length < settleBatch) return counts;
    }
  }

  async function settleAll(intents: readonly OpenIntent[], counts: SettleCounts): Promise<void> {
    for (const intent of intents) {
      try {
        counts[await settleOne(intent)]++;
      } catch (error) {
        counts.open++;
        onUnfinished(intent.serial, error);
      }
    }
  }

  async function settleOne(intent: OpenIntent): Promise<"recorded" | "abandoned"> {
    const issuer = parts.issuers.byId(intent.issuerId);
    const reason =
      issuer === undefined
        ? "its issuer is not here any more"
        : intent.notAfter <= now()
          ? "its validity has passed"
          : intent.quarantined
            ? "its identity is in quarantine" // Nobody has what may have been signed: only what is recorded is released.
            : intent.revoked
              ? "it was revoked before it was recorded"
              : intent.blocked
                ? "its key is blocked"
                : undefined;
    if (issuer === undefined || reason !== undefined) {
      await ledger.abandon(intent.serial, reason ?? "its issuer is not here any more");
      return "abandoned";
    }
    const linted = await lintIntentOrRefuse(intent, issuer);
    if (linted === undefined) return "abandoned";
    // The same bytes are signed again: whatever became of an earlier signature, the serial stands for one content only.
    await ledger.record(intent.serial, await signCertificate(linted, issuer.key));
    return "recorded";
  }

  async function lintIntentOrRefuse(intent: OpenIntent, issuer: Issuer): Promise<IntendedCertificate | undefined> {
    try {
      return lintIntent(intent, issuer);
    } catch (error) {
      if (!(error instanceof LintFailed)) throw error;
      const { serial, tbs } = intent;
      const refused = { serial, findings: error.findings, tbsSha256: hash("sha256", tbs, "buffer") };
      parts.onRefused(refused);
      await ledger.refuseIntent(serial, refused);
      return undefined;
    }
  }

  return { issue, settle };
}

/** Whether an issuer without an end could give this validity. */
function isAllowed({ profile, validity }: Authorized, now: Date): boolean {
  try {
    validityOf(profile, now, validity);
    return true;
  } catch (error) {
    if (error instanceof ValidityRefused) return false;
    throw error;
  }
}

function intentOf(linted: PreparedCertificate): Intent {
  const { authorized, issuer, publicKey } = linted;
  const { names, profile } = authorized;
  const spiffeId = names.uri[0] ?? null;
  const permanentIdentifier = names.permanentIdentifiers[0] ?? null;
  return {
    serial: linted.serialNumber,
    tbs: linted.tbs,
    issuerId: issuer.id,
    door: authorized.door,
    orderId: authorized.orderId,
    accountId: authorized.accountId,
    identityKind: spiffeId !== null ? "spiffe" : permanentIdentifier !== null ? "device" : "names",
    identityName: identityNameOf(names),
    spiffeId,
    permanentIdentifier,
    dnsNames: names.dns,
    ipAddresses: names.ip,
    profile: profile.name,
    profileHash: profile.hash,
    spkiSha256: publicKey.sha256,
    keyReuse: profile.keyReuse,
    evidence: authorized.evidence,
    storedGrant: authorized.storedGrant,
    renewal: authorized.renewal,
    notBefore: linted.notBefore,
    notAfter: linted.notAfter,
  };
}
