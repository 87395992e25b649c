/** newAccount (RFC 8555 §7.3). */
import type { JsonObject } from "../encoding/json.ts";
import { problem } from "../problem/problem.ts";
import { blockedKey, requireValid, type AcmeContext, type AcmeRequest } from "./context.ts";
import { readContact } from "./contact.ts";
import type { VerifiedBinding } from "./externalAccountPorts.ts";
import { notUsable, readBinding, verifyBinding } from "./externalAccountBinding.ts";
import type { Use } from "./limits/rateLimits.ts";
import { countedUnlessOurs, type Counted } from "./limits/orderLimits.ts";
import { signingAccount } from "./pipeline.ts";
import type { Account, NewAccount } from "./accountPorts.ts";
import { accountJson, type Reply } from "./resources.ts";
import { agreeAnew, agrees, mustAgree } from "./termsOfService.ts";

const accountFrom = (source: string): Use => ({ limit: "newAccountsPerAddress", key: source });

/**
 * Makes the account of this key, or answers with the one it has: 201 or 200 (RFC 8555 §7.3.1).
 * @throws {Problem} badPublicKey (blocked) · accountDoesNotExist · invalidContact · unsupportedContact · malformed · rateLimited ·
 *   userActionRequired · externalAccountRequired · badSignatureAlgorithm and unauthorized (binding) · unauthorized (401, deactivated)
 */
export async function newAccount(request: AcmeRequest, context: AcmeContext): Promise<Reply> {
  const { key, payload = {} } = request;
  const { accounts, directory, keys, urls } = context;
  if (payload["onlyReturnExisting"] === true) {
    const account = await accounts.findAccountByThumbprint(directory, key.thumbprint);
    if (account === undefined) throw problem("accountDoesNotExist", "no account has this key");
    return answer(account, 200);
  }

  const { created, account } = await register(request, payload, context);
  if (created) keys.set(account.id, signingAccount(account, key));
  return answer(created ? account : await agreeAnew(account, payload, context), created ? 201 : 200);

  function answer(found: Account, status: number): Reply {
    requireValid(found.status);
    return { status, headers: { location: urls.account(found.id) }, body: accountJson(found, urls) };
  }
}

/** The account that was made, or the one of this key. @throws {Problem} when there is none and none may be made */
async function register(
  { key, url, source }: AcmeRequest,
  payload: JsonObject,
  context: AcmeContext,
): Promise<{ created: boolean; account: Account }> {
  const { accounts, directory, rateLimits } = context;
  const counted: Counted = { unused: () => rateLimits.refund(accountFrom(source)) };
  let spent = false;
  let wanted: NewAccount;
  let binding: VerifiedBinding | undefined;
  try {
    if (!agrees(payload, context)) throw mustAgree(context, "the terms of service must be agreed to");
    const contact = readContact(payload["contact"], context.limits.contactsPerAccount);
    const member = payload["externalAccountBinding"];
    if (member === undefined && context.externalAccountRequired)
      throw problem("externalAccountRequired", "a new account needs an external account binding");
    const unverified = member === undefined ? undefined : readBinding(member, { key, url });
    rateLimits.spend([accountFrom(source)]); // Before a MAC is compared: guesses are counted too.
    spent = true;
    binding =
      unverified &&
      (await countedUnlessOurs(counted, () => verifyBinding(unverified, directory, context.externalAccounts)));
    wanted = {
      id: context.newId(),
      directory,
      thumbprint: key.thumbprint,
      jwk: key.jwk,
      spkiSha256: key.spkiSha256,
      contact,
      ...agreement(payload, context),
    };
  } catch (refusal) {
    // §7.3.1: for a known key the request's fields do not matter, so neither do their faults.
    const account = await accounts.findAccountByThumbprint(directory, key.thumbprint);
    if (account === undefined) throw refusal;
    if (spent) counted.unused();
    return { created: false, account };
  }

  const made = await countedUnlessOurs(counted, async () =>
    binding === undefined ? accounts.createAccount(wanted) : accounts.createBoundAccount(wanted, binding),
  );
  if (made === undefined) throw blockedKey();
  if (made === "bindingRefused") throw notUsable();
  if (!made.created) counted.unused();
  return made;
}

/** What a new account has agreed to. */
function agreement(
  payload: JsonObject,
  { termsOfService, now }: AcmeContext,
): Pick<NewAccount, "termsAgreedAt" | "termsOfService"> {
  if (payload["termsOfServiceAgreed"] !== true) return { termsAgreedAt: null, termsOfService: null };
  return { termsAgreedAt: now(), termsOfService: termsOfService ?? null };
}
