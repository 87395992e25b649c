/** CAA records, asked again before a certificate is made (RFC 8659 §3: what they say must hold at the time of issuance). */
import { OutboundFailure } from "../outbound/failure.ts";
import { within } from "../outbound/deadline.ts";
import { problem, type Subproblem } from "../problem/problem.ts";
import type { AcmeContext } from "./context.ts";
import type { CaaQuestion } from "./challenges/caa.ts";
import { ValidationFailure } from "./challenges/validation.ts";
import type { Proved } from "./issueOrder.ts";
import type { Identifier } from "./ports.ts";

/** A check at validation counts for so long; an hour less than the eight that public CAs are allowed. */
const freshMs = 7 * 3_600_000;
const timeoutMs = 10_000;
/** Names of one certificate that are asked about at once; each takes a turn of its account's, as a validation does. */
const namesAtOnce = 4;
const retryAfterSeconds = 5;

export type CaaAtFinalizeContext = Pick<AcmeContext, "caa" | "validationTurns" | "now">;

/**
 * Asks for every DNS name of the certificate whose last check is old, or was of another name (RFC 9444).
 * @throws {Problem} caa (403) · dns (400) with a subproblem for each name that is known to be refused · unavailable (503) when not all
 *   was found out, and nothing against it
 */
export async function requireCaa(
  proved: readonly Proved[],
  { accountId, accountUrl }: { accountId: string; accountUrl: string },
  { caa, validationTurns, now }: CaaAtFinalizeContext,
): Promise<void> {
  if (caa === undefined) return;
  const due = proved.filter((one) => one.identifier.type === "dns" && !isFresh(one, now()));
  if (due.length === 0) return;
  const { signal } = new AbortController();
  const late = () => new OutboundFailure("ours", "the CAA records could not be had in time");
  const asked = due.map((one) => questionOf(one, accountUrl)).entries();
  const answers: (ValidationFailure | undefined)[] = [];
  const refusalsKnown = (): Subproblem[] => due.flatMap((one, index) => refusalOf(answers[index], one.identifier));
  await within(timeoutMs, signal, late, async (lifetime) => {
    const ask = caa.asker(lifetime);
    const some = async (): Promise<void> => {
      // Whoever is free takes the next of them.
      for (const [index, question] of asked) {
        const leave = await validationTurns.take(accountId, lifetime);
        answers[index] = await ask(question).finally(leave);
      }
    };
    await Promise.all(Array.from({ length: namesAtOnce }, some));
  }).catch((cause: unknown) => {
    if (!(cause instanceof OutboundFailure)) throw cause;
    // One name that is refused is enough, whatever became of the others.
    if (refusalsKnown().length === 0)
      throw problem("unavailable", "CAA records cannot be asked for right now", { retryAfterSeconds, cause });
  });
  const refusals = refusalsKnown();
  const [first] = refusals;
  if (first === undefined) return;
  const code = refusals.some((refusal) => refusal.code === "caa") ? "caa" : first.code;
  throw problem(code, refusals.length === 1 ? first.detail : `CAA is in the way of ${refusals.length} names`, {
    subproblems: refusals,
  });
}

function isFresh({ identifier, authorization }: Proved, now: Date): boolean {
  const own =
    baseOf(identifier) === authorization.identifier.value && isWildcard(identifier) === authorization.wildcard;
  const checked = authorization.challenges.find(({ status }) => status === "valid")?.caaCheckedAt;
  const ageMs = checked === undefined ? Infinity : now.getTime() - Date.parse(checked);
  return own && ageMs < freshMs;
}

const isWildcard = ({ value }: Identifier): boolean => value.startsWith("*.");
const baseOf = (identifier: Identifier): string =>
  isWildcard(identifier) ? identifier.value.slice(2) : identifier.value;

function questionOf({ identifier, authorization }: Proved, accountUrl: string): CaaQuestion {
  const valid = authorization.challenges.find(({ status }) => status === "valid");
  if (valid === undefined) throw problem("orderNotReady", "an authorization is not valid");
  return { name: baseOf(identifier), wildcard: isWildcard(identifier), accountUrl, method: valid.type };
}

function refusalOf(failure: ValidationFailure | undefined, identifier: Identifier): Subproblem[] {
  return failure === undefined ? [] : [{ code: failure.problem, detail: failure.message, identifier }];
}
