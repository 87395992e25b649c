/**
 * The challenge dns-persist-01 (draft-ietf-acme-dns-persist-02): a TXT record that stays, and names this CA and the account. The form
 * of `accounturi` of the draft's revision 01, the account's URL, is taken as well, for the clients that have it.
 */
import { createHash } from "node:crypto";
import { quoted } from "../../outbound/failure.ts";
import { parameterValues, readIssueValue, type IssueValue } from "./issueValue.ts";
import { attempt, type Validation, ValidationFailure, type Validator } from "./validation.ts";

/** One record at `_validation-persist.<name>` must name an issuer of the challenge and the account, and fit what is to be proved. */
export const dnsPersist01: Validator = (validation, outbound, signal) =>
  attempt(outbound.timeoutMs, signal, async (lifetime) => {
    const { identifier } = validation;
    if (identifier.type !== "dns")
      throw new ValidationFailure("rejectedIdentifier", "dns-persist-01 is only for DNS names");
    const name = `_validation-persist.${identifier.value}`;
    const records = await outbound.txt(name, lifetime);
    const accepted = await acceptedUris(validation);
    const verdicts = records.map((record) => judge(record, validation, accepted, outbound.now()));
    const passed = verdicts.filter((verdict) => verdict.ok);
    if (passed.length > 0) return longest(passed);
    const failures = verdicts.filter((verdict) => !verdict.ok);
    // The one that came nearest says most.
    const nearest = failures.find(({ why }) => why !== otherIssuer);
    const why = nearest?.why ?? (records.length > 0 ? otherIssuer : "there is none");
    throw new ValidationFailure(nearest?.problem ?? "unauthorized", `TXT record at ${quoted(name)}: ${why}`);
  });

type Verdict =
  | { readonly ok: true; readonly until: Date | undefined }
  | { readonly ok: false; readonly problem: "malformed" | "unauthorized"; readonly why: string };

const otherIssuer = "it does not name this CA";

/** The passed record that holds longest. */
function longest(passed: readonly { readonly until: Date | undefined }[]): { validUntil?: Date } {
  const ends = passed.map(({ until }) => until);
  const times = ends.flatMap((end) => (end === undefined ? [] : [end.getTime()]));
  return times.length < ends.length ? {} : { validUntil: new Date(Math.max(...times)) };
}

/** §4.1 and §4.2, in that order; §9.3.1 for the kinds of failure. */
function judge(record: string, validation: Validation, accepted: ReadonlySet<string>, now: Date): Verdict {
  const refuse = (problem: "malformed" | "unauthorized", why: string): Verdict => ({ ok: false, problem, why });
  const value = readIssueValue(record);
  if (value === undefined) {
    const ours = validation.issuerDomainNames.some((issuer) => record.toLowerCase().trimStart().startsWith(issuer));
    return ours ? refuse("malformed", "it is malformed") : refuse("unauthorized", otherIssuer);
  }
  if (!validation.issuerDomainNames.includes(value.issuer)) return refuse("unauthorized", otherIssuer);

  const account = single(value, "accounturi");
  const policy = single(value, "policy");
  const persistUntil = single(value, "persistuntil");
  if (account === "several" || policy === "several" || persistUntil === "several")
    return refuse("malformed", "a parameter is there twice");
  if (account === undefined) return refuse("malformed", "it has no accounturi");
  if (!accepted.has(account.value)) {
    const problem = isHashedUri(account.value, validation) ? "unauthorized" : "malformed";
    return refuse(account.value.startsWith(validation.account.hashPrefix) ? problem : "unauthorized", otherAccount);
  }
  const wide = policy?.value.toLowerCase() === "wildcard"; // Any other value is as if it were not there.
  if ((validation.wildcard || validation.subdomains) && !wide)
    return refuse("unauthorized", "it has no policy=wildcard, which names below this one need");
  if (persistUntil === undefined) return { ok: true, until: undefined };
  if (!/^\d{1,15}$/.test(persistUntil.value)) return refuse("malformed", "persistUntil is not a time");
  const until = new Date(Number(persistUntil.value) * 1000);
  if (Number.isNaN(until.getTime())) return { ok: true, until: undefined }; // After the last date there is.
  return until <= now ? refuse("unauthorized", "persistUntil has passed") : { ok: true, until };
}

const otherAccount = "accounturi is not this account's";

function single(value: IssueValue, tag: string): { readonly value: string } | "several" | undefined {
  const [first, ...others] = parameterValues(value, tag);
  if (first === undefined) return undefined;
  return others.length > 0 ? "several" : { value: first };
}

function isHashedUri(uri: string, { account }: Validation): boolean {
  return /^sha-256\/[A-Za-z0-9_-]{43}$/.test(uri.slice(account.hashPrefix.length));
}

/** Every `accounturi` that stands for the account: with each of its keys, for this name and for any, and the account's URL. */
async function acceptedUris({ identifier, account }: Validation): Promise<ReadonlySet<string>> {
  const thumbprints = await account.thumbprints();
  const hashed = thumbprints.flatMap((thumbprint) =>
    [identifier.value, "*"].map((domain) => hashedUri(account.hashPrefix, domain, thumbprint, account.url)),
  );
  return new Set([...hashed, account.url]);
}

/** §4.1: prefix, `sha-256/`, base64url of SHA-256(length of the domain ‖ domain ‖ thumbprint ‖ account URL). */
export function hashedUri(prefix: string, domain: string, thumbprint: Buffer, accountUrl: string): string {
  const digest = createHash("sha256")
    .update(Buffer.from([domain.length]))
    .update(domain)
    .update(thumbprint.toString("base64url"))
    .update(accountUrl)
    .digest("base64url");
  return `${prefix}sha-256/${digest}`;
}
