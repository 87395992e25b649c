/**
 * Certification Authority Authorization: whether the owner of a name lets this CA issue for it (RFC 8659), to this account and by this
 * method (RFC 8657).
 */
import type { CaaRecord } from "../../outbound/dnsMessage.ts";
import { OutboundFailure, quoted } from "../../outbound/failure.ts";
import type { Outbound } from "../../outbound/outbound.ts";
import type { ChallengeType } from "../ports.ts";
import { parameterValues, readIssueValue } from "./issueValue.ts";
import { ValidationFailure, verdict } from "./validation.ts";

/** One name of a certificate, and what it is to be issued on. */
export interface CaaQuestion {
  /** A DNS name; for a wildcard the base name. */
  readonly name: string;
  readonly wildcard: boolean;
  readonly accountUrl: string;
  /** The challenge that proved it. */
  readonly method: ChallengeType;
}

/**
 * Answers a question: undefined where the records permit, or there are none; a `caa` failure where they do not, a `dns` failure where
 * they could not be had, which is no permission (RFC 8659 §3). Rejects with an `OutboundFailure` of the kind `ours` when nothing was
 * found out, and with the signal's reason.
 */
export type AskCaa = (question: CaaQuestion) => Promise<ValidationFailure | undefined>;

export interface CaaCheck {
  /** For the questions of one certificate: names above several of them are asked about once. */
  asker(signal: AbortSignal): AskCaa;
}

/** @param identities issuer domain names of this CA, lower-case; at least one */
export function createCaaCheck(outbound: Pick<Outbound, "caa">, identities: readonly string[]): CaaCheck {
  return {
    asker(signal) {
      const known = new Map<string, Promise<CaaRecord[]>>();
      const lookUp = (name: string): Promise<CaaRecord[]> => {
        const found = known.get(name) ?? outbound.caa(name, signal);
        known.set(name, found);
        return found;
      };
      return (question) => answer(question, lookUp, identities);
    },
  };
}

async function answer(
  question: CaaQuestion,
  lookUp: (name: string) => Promise<CaaRecord[]>,
  identities: readonly string[],
): Promise<ValidationFailure | undefined> {
  try {
    const { at, records } = await relevantRecords(question.name, lookUp);
    const objection = objectionOf(records, question, identities);
    return objection === undefined
      ? undefined
      : new ValidationFailure("caa", `the CAA records of ${at} do not permit ${question.name}: ${objection}`);
  } catch (error) {
    const failure = error instanceof OutboundFailure ? verdict(error) : error;
    if (failure instanceof ValidationFailure) return failure;
    throw failure;
  }
}

/** RFC 8659 §3: the first set on the way from the name to the root, which is not asked itself. */
async function relevantRecords(
  name: string,
  lookUp: (name: string) => Promise<CaaRecord[]>,
): Promise<{ at: string; records: readonly CaaRecord[] }> {
  for (let at = name; at !== ""; at = at.split(".").slice(1).join(".")) {
    const records = await lookUp(at);
    if (records.length > 0) return { at, records };
  }
  return { at: name, records: [] };
}

/** Properties whose meaning is known here: those of RFC 8659 §4, and those that speak of other things than TLS certificates. */
const understood = new Set(["issue", "issuewild", "iodef", "issuemail", "issuevmc", "contactemail", "contactphone"]);

/** What a set of records has against it; undefined when nothing. RFC 8659 §4. */
export function objectionOf(
  records: readonly CaaRecord[],
  question: Omit<CaaQuestion, "name">,
  identities: readonly string[],
): string | undefined {
  const unknown = records.find(({ critical, tag }) => critical && !understood.has(tag)); // §4.5
  if (unknown !== undefined) return `the property ${quoted(unknown.tag)} is critical and unknown`;
  const valuesOf = (tag: string): string[] => records.filter((record) => record.tag === tag).map(({ value }) => value);
  const wild = question.wildcard ? valuesOf("issuewild") : []; // §4.3
  const [tag, values] = wild.length > 0 ? ["issuewild", wild] : ["issue", valuesOf("issue")];
  if (values.length === 0) return undefined; // No property that restricts.
  const objections = values.map((value) => objectionOfProperty(value, question, identities));
  if (objections.includes(undefined)) return undefined;
  // The objection that came nearest says most.
  const nearest = objections.find((objection) => objection !== otherIssuer) ?? otherIssuer;
  return `${tag}: ${nearest}`;
}

const otherIssuer = "no property names this CA";

function objectionOfProperty(
  text: string,
  { accountUrl, method }: Omit<CaaQuestion, "name">,
  identities: readonly string[],
): string | undefined {
  const value = readIssueValue(text);
  // §4.2: what is malformed counts as a property without an issuer.
  if (value === undefined || !identities.includes(value.issuer)) return otherIssuer;
  const accounts = parameterValues(value, "accounturi"); // RFC 8657 §3: without one it is any account, with several it is none.
  if (accounts.length > 0 && (accounts.length > 1 || accounts[0] !== accountUrl))
    return "accounturi is not this account's";
  const methods = parameterValues(value, "validationmethods"); // RFC 8657 §4: the same.
  if (methods.length > 0 && (methods.length > 1 || !methodsIn(methods[0] ?? "").includes(method)))
    return `validationmethods does not have ${method}`;
  return undefined;
}

/** RFC 8657 §4: labels of letters, digits and hyphens, separated by commas; anything else has none. */
function methodsIn(text: string): string[] {
  return /^[a-z0-9-]+(?:,[a-z0-9-]+)*$/i.test(text) ? text.split(",") : [];
}
