/**
 * Which certificates and which issuances under way an action covers. By a name, a key, a task there is an index; for all else the certificates
 * that have not expired are walked in the order in which they end, so that issuing pays nothing for it.
 */
import type { RevocationSubject } from "../administration/revocationPorts.ts";

/** True of an evidence record, whose subject is `subject`, that rests on this grant: by its own decision, or by the platform's before renewals. */
const byGrant = (evidence: string, subject: string): string =>
  `jsonb_path_exists(${evidence}::jsonb, '$[*].proved.record ? (@.grant == $s || @.platform.grant == $s)', jsonb_build_object('s', ${subject}))`;

/** The same for a source of evidence. */
const showsSource = (evidence: string, subject: string): string =>
  `jsonb_path_exists(${evidence}::jsonb, '$[*].proved.record ? (@.source == $s || @.with[*].source == $s)', jsonb_build_object('s', ${subject}))`;

/** What was renewed by possession rests on the evidence that was shown for the first certificate of its lineage. */
const bySource = (evidence: string, lineage: string, subject: string): string =>
  `(${showsSource(evidence, subject)} or ${lineage} is not null and coalesce(
      ${showsSource(`(select first.evidence from certificate first where first.serial = ${lineage})`, subject)}, false))`;

const byDelegation = (evidence: string, subject: string): string =>
  `jsonb_path_exists(${evidence}::jsonb, '$[*].proved.record.delegation ? (@.delegator == $s || @.task == $s)', jsonb_build_object('s', ${subject}))`;

/** True where the suspension `s` holds an intent up that has this evidence, issuer and lineage (SQL each). */
const suspends = (s: string, evidence: string, issuer: string, lineage: string): string =>
  `case ${s}.kind when 'grant' then ${byGrant(evidence, `${s}.subject`)}
     when 'source' then ${bySource(evidence, lineage, `${s}.subject`)}
     else ${s}.subject = (${issuer})::text end`;

/** Condition of the statement that makes an intent: nothing that it rests on is suspended. */
export const notSuspended = (evidence: string, issuer: string, lineage = "null::bytea"): string =>
  `not exists (select from issuance_suspension s where s.lifted_at is null and ${suspends("s", evidence, issuer, lineage)})`;

const covers = (x: string, i: string, more: string): string =>
  `case ${x}.kind ${more}
     when 'key' then encode(${i}.spki_sha256, 'hex') = ${x}.subject
     when 'account' then ${i}.account_id::text = ${x}.subject
     when 'issuer' then ${i}.issuer_id::text = ${x}.subject
     when 'grant' then ${byGrant(`${i}.evidence`, `${x}.subject`)}
     when 'source' then ${bySource(`${i}.evidence`, `${i}.lineage`, `${x}.subject`)}
     when 'task' then ${byDelegation(`${i}.evidence`, `${x}.subject`)}
     when 'delegator' then ${byDelegation(`${i}.evidence`, `${x}.subject`)}
     else false end`;

/** True of an intent `i` that the action `x` covers. */
export const coversIntent = (x: string, i: string): string =>
  covers(x, i, `when 'identity' then ${i}.identity_name = ${x}.subject`);

/** True of a certificate `c` that the action `x` covers, without an index: for a few of them. */
export const coversCertificate = (x: string, c: string): string =>
  covers(
    x,
    c,
    `when 'certificate' then ${c}.serial = decode(${x}.subject, 'hex')
     when 'identity' then ${c}.identity_id = (select id from identity where name = ${x}.subject)`,
  );

/** How certificates are found: each way is a statement of its own, planned by itself. */
export type SelectionPath = (typeof selectionPaths)[number];
export const selectionPaths = [
  "certificate",
  "spiffe",
  "device",
  "names",
  "addresses",
  "key",
  "delegation",
  "account",
  "issuer",
  "grant",
  "source",
] as const;

const isAddress = /^[\d.]+$|:/;
const devicePrefix = "permanent-identifier ";

/** The way to an action's certificates. */
export function pathOf({ kind, subject }: Pick<RevocationSubject, "kind" | "subject">): SelectionPath {
  if (kind === "task" || kind === "delegator") return "delegation";
  if (kind !== "identity") return kind;
  if (subject.startsWith("spiffe://")) return "spiffe";
  if (subject.startsWith(devicePrefix)) return "device";
  return subject.split(",").every((name) => isAddress.test(name)) ? "addresses" : "names";
}

const looked = `c.serial, c.not_after, c.issuer_id, c.identity_id, c.spki_sha256, c.profile, c.profile_hash, c.issued_at, c.not_before`;

/** Certificates `c` that an index leads to, among them what `a` covers. */
const found: Partial<Readonly<Record<SelectionPath, string>>> = {
  certificate: `select ${looked} from certificate c where c.serial = decode(a.subject, 'hex')`,
  spiffe: `select ${looked} from certificate c where c.spiffe_id = a.subject`,
  device: `select ${looked} from certificate c where c.permanent_identifier = substr(a.subject, ${devicePrefix.length + 1})`,
  names: `select ${looked} from certificate c
     where c.dns_names @> (select n.dns_names from identity i join certificate n on n.serial = i.newest_serial where i.name = a.subject)
       and c.dns_names <> '{}' and c.identity_id = (select i.id from identity i where i.name = a.subject)`,
  key: `select ${looked} from certificate c where c.spki_sha256 = decode(a.subject, 'hex')`,
  delegation: `select ${looked} from certificate_delegation d join certificate c on c.serial = d.serial
     where d.delegator = decode(a.subject, 'hex')
     union
     select ${looked} from certificate_delegation d join certificate c on c.serial = d.serial
     where d.task = decode(a.subject, 'hex')`,
};

/** What `a` covers of the certificates that are walked. */
const walked: Partial<Readonly<Record<SelectionPath, string>>> = {
  addresses: `c.identity_id = (select i.id from identity i where i.name = a.subject)`,
  account: `c.account_id::text = a.subject`,
  issuer: `c.issuer_id::text = a.subject`,
  grant: byGrant("c.evidence", "a.subject"),
  source: bySource("c.evidence", "c.lineage", "a.subject"),
};

/**
 * The certificates behind the cursor of `a`, in the order of (not_after, serial), at most `most` (SQL), each with whether it is `covered`.
 * What is not covered is there for the cursor.
 */
export function nextCertificates(path: SelectionPath, most: string): string {
  const behind = `(c.not_after, c.serial) > (a.cursor_not_after, a.cursor_serial) order by c.not_after, c.serial limit ${most}`;
  const condition = walked[path];
  if (condition !== undefined) return `select ${looked}, ${condition} as covered from certificate c where ${behind}`;
  // `offset 0`: Postgres must go by the index of the name, and not by that of the end, which has the order.
  return `select c.*, true as covered from (${found[path] ?? ""} offset 0) c where ${behind}`;
}
