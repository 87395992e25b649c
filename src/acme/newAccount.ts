/** newAccount (RFC 8555 §7.3). */
import { problem } from "../problem/problem.ts";
import { blockedKey, requireValid, type AcmeContext, type AcmeRequest } from "./context.ts";
import { readContact } from "./contact.ts";
import type { Use } from "./limits/rateLimits.ts";
import { signingAccount } from "./pipeline.ts";
import type { Account } from "./ports.ts";
import { accountJson, type Reply } from "./resources.ts";

const accountFrom = (source: string): Use => ({ limit: "newAccountsPerAddress", key: source });

/**
 * Makes the account of this key, or answers with the one it has: 201 or 200 (RFC 8555 §7.3.1).
 * @throws {Problem} badPublicKey (blocked) · accountDoesNotExist · invalidContact · unsupportedContact · malformed · rateLimited · unauthorized (deactivated)
 */
export async function newAccount({ key, payload = {}, source }: AcmeRequest, context: AcmeContext): Promise<Reply> {
  const { accounts, directory, keys, urls } = context;
  if (payload["onlyReturnExisting"] === true) {
    const account = await accounts.findAccountByThumbprint(directory, key.thumbprint);
    if (account === undefined) throw problem("accountDoesNotExist", "no account has this key");
    return answer(account, 200);
  }

  let contact: readonly string[];
  try {
    if (context.termsOfService !== undefined && payload["termsOfServiceAgreed"] !== true) {
      throw problem("userActionRequired", "the terms of service must be agreed to", {
        headers: { link: `<${context.termsOfService}>;rel="terms-of-service"` },
      });
    }
    contact = readContact(payload["contact"], context.limits.contactsPerAccount);
    context.rateLimits.spend([accountFrom(source)]);
  } catch (refusal) {
    // §7.3.1: for a known key the request's fields do not matter, so neither do their faults.
    const known = await accounts.findAccountByThumbprint(directory, key.thumbprint);
    if (known === undefined) throw refusal;
    return answer(known, 200);
  }

  const made = await accounts.createAccount({
    id: context.newId(),
    directory,
    thumbprint: key.thumbprint,
    jwk: key.jwk,
    spkiSha256: key.spkiSha256,
    contact,
    termsAgreedAt: payload["termsOfServiceAgreed"] === true ? context.now() : null,
  });
  if (made === undefined) throw blockedKey();
  const { created, account } = made;
  if (created) keys.set(account.id, signingAccount(account.id, directory, key));
  else context.rateLimits.refund(accountFrom(source));
  return answer(account, created ? 201 : 200);

  function answer(found: Account, status: number): Reply {
    requireValid(found.status);
    return { status, headers: { location: urls.account(found.id) }, body: accountJson(found, urls) };
  }
}
