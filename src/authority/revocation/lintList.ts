/**
 * Lints of revocation lists: the prepared bytes, read back to the last entry, against the rules they must meet. Pure. Only this file makes a
 * `LintedCertificateList`, and only that can be signed.
 */
import { distributedContent, type DistributedContent } from "../../x509/certificateList.ts";
import { compareSpans, scanTbsCertificateList, type ScannedTbs } from "../../x509/certificateListScan.ts";
import { algorithmIdentifier } from "../../x509/signatureAlgorithm.ts";
import type { PreparedList } from "./prepareList.ts";

declare const linted: unique symbol;

/** Made by `lintList` alone; the brand cannot be written elsewhere. */
export type LintedCertificateList = PreparedList & { readonly [linted]: true };

/** A list of ours broke a rule: our own fault. It is not signed, and the one before stands. */
export class ListLintFailed extends Error {
  override readonly name = "ListLintFailed";
  readonly findings: readonly string[];
  constructor(findings: readonly string[]) {
    super(
      `the revocation list broke ${findings.length} rule${findings.length === 1 ? "" : "s"}: ${findings.join("; ")}`,
    );
    this.findings = findings;
  }
}

/** What was read back. */
interface ReadBack extends ScannedTbs, DistributedContent {
  /** Each serial number is behind the one before: none is there twice. */
  readonly ascending: boolean;
  /** Each is of a certificate that names this list. */
  readonly ofThisShard: boolean;
}

type Rule = readonly [name: string, holds: (list: ReadBack, prepared: PreparedList) => boolean];

const rules: readonly Rule[] = [
  ["the issuer is ours (RFC 5280 §5.1.2.3)", (list, { issuer }) => list.issuer.equals(issuer.subject)],
  [
    "the signature algorithm is the key's (RFC 5280 §5.1.1.2)",
    (list, { issuer }) => list.signatureIdentifier.equals(algorithmIdentifier(issuer.key.algorithm)),
  ],
  [
    "the key identifier is the issuer's (RFC 5280 §5.2.1)",
    (list, { issuer }) => list.authorityKeyIdentifier.equals(issuer.subjectKeyIdentifier),
  ],
  [
    "there are three extensions (RFC 5280 §5.2): key identifier, number, distribution point",
    (list) => list.extensions.length === 3,
  ],
  [
    "the number is above that of the list before (RFC 5280 §5.2.3)",
    ({ number }, { turn }) =>
      BigInt(`0x${number.toString("hex")}`) === BigInt(turn.number) && turn.number > (turn.newest?.number ?? 0),
  ],
  [
    "the distribution point is the certificates', or none where the list is complete (RFC 5280 §5.2.5)",
    ({ distributionPoint: { url } }, { issuer, turn }) =>
      url === undefined ? issuer.crlShards === 1 && issuer.certifies === "CACerts" : url === issuer.listUrl(turn.shard),
  ],
  [
    "what the issuer issues is on the list alone: leaves, or CAs (RFC 5280 §5.2.5)",
    ({ distributionPoint }, { issuer }) => distributionPoint.onlyContains === issuer.certifies,
  ],
  [
    "the next list comes after this one (RFC 5280 §5.1.2.5)",
    (list, prepared) =>
      list.nextUpdate > list.thisUpdate &&
      list.thisUpdate.getTime() === prepared.thisUpdate.getTime() &&
      list.nextUpdate.getTime() === prepared.nextUpdate.getTime(),
  ],
  [
    "it stands for no longer than configured",
    ({ thisUpdate, nextUpdate }, { times }) =>
      nextUpdate.getTime() - thisUpdate.getTime() <= times.lifetimeSeconds * 1000,
  ],
  ["it stands for no longer than its issuer", ({ nextUpdate }, { issuer }) => nextUpdate <= issuer.notAfter],
  ["it has as many entries as were asked for", ({ entries }, prepared) => entries === prepared.entries],
  ["no certificate is on it twice", ({ ascending }) => ascending],
  ["every certificate on it names it (RFC 5280 §6.3.3)", ({ ofThisShard }) => ofThisShard],
];

/** The octet of a serial number that says in which list it is; see `Issuer.crlUrl`. */
const listOctet = 2;

/** @throws {ListLintFailed} */
export function lintList(prepared: PreparedList): LintedCertificateList {
  let findings: readonly string[];
  try {
    const list = readBack(prepared);
    findings = rules.flatMap(([name, holds]) => (holds(list, prepared) ? [] : [name]));
  } catch (error) {
    findings = [`it cannot be read: ${(error as Error).message}`];
  }
  if (findings.length > 0) throw new ListLintFailed(findings);
  return prepared as LintedCertificateList;
}

function readBack({ tbs, issuer, turn }: PreparedList): ReadBack {
  let [ascending, ofThisShard] = [true, true];
  let [lastStart, lastEnd] = [0, 0];
  const scanned = scanTbsCertificateList(tbs, (octets, start, end) => {
    ascending &&= lastEnd === 0 || compareSpans(octets, start, end, octets, lastStart, lastEnd) > 0;
    ofThisShard &&= (octets[start + listOctet] ?? 0) % issuer.crlShards === turn.shard;
    [lastStart, lastEnd] = [start, end];
  });
  return { ...scanned, ...distributedContent(scanned), ascending, ofThisShard };
}
