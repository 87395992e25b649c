/** Terms of service (RFC 8555 §7.3, §7.3.3): agreed to by URL, once for each URL. */
import type { JsonObject } from "../encoding/json.ts";
import { problem, type Problem } from "../problem/problem.ts";
import { requireSigner, type AcmeContext } from "./context.ts";
import type { Account } from "./accountPorts.ts";
import type { Signer } from "./ports.ts";
import { link } from "./resources.ts";

type TermsContext = Pick<AcmeContext, "accounts" | "termsOfService" | "termsInstructions" | "now">;

/** True where there is nothing to agree to, or newAccount's payload agrees. */
export const agrees = (payload: JsonObject, { termsOfService }: Pick<TermsContext, "termsOfService">): boolean =>
  termsOfService === undefined || payload["termsOfServiceAgreed"] === true;

/** §7.3.3: the terms as a link, and where a person reads how to agree to them. */
export function mustAgree(context: Pick<TermsContext, "termsOfService" | "termsInstructions">, what: string): Problem {
  return problem("userActionRequired", what, {
    headers: { link: link(context.termsOfService ?? "", "terms-of-service") },
    members: { instance: context.termsInstructions },
  });
}

/**
 * Says why a statement that asks for the terms found no account; resolves when nothing stands in the way by now.
 * @throws {Problem} userActionRequired · as `requireSigner` does
 */
export async function requireAgreed(context: TermsContext, by: Signer): Promise<void> {
  const { accounts, termsOfService } = context;
  const account = await accounts.findAccount(by.directory, by.id);
  const changed = termsOfService !== undefined && account?.termsOfService !== termsOfService;
  if (account?.status === "valid" && account.thumbprint.equals(by.thumbprint) && changed)
    throw mustAgree(context, "the terms of service have changed since this account agreed to them");
  await requireSigner(context, by);
}

/**
 * newAccount with the key of an account that is there, saying `termsOfServiceAgreed: true`, agrees to the present terms: §7.3.2 leaves
 * no other request for it. Whatever else such a request says is ignored (§7.3.1).
 */
export async function agreeAnew(account: Account, payload: JsonObject, context: TermsContext): Promise<Account> {
  const { termsOfService } = context;
  if (termsOfService === undefined || account.termsOfService === termsOfService || account.status !== "valid")
    return account;
  if (payload["termsOfServiceAgreed"] !== true) return account;
  return (await context.accounts.agreeToTerms(account, termsOfService, context.now())) ?? account;
}
