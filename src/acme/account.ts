/** The account resource (RFC 8555 §7.3.2, §7.3.6) and its list of orders (§7.1.2.1). */
import { problem } from "../problem/problem.ts";
import {
  KeySuperseded,
  noSuchResource,
  required,
  requireValid,
  signer,
  type AcmeContext,
  type AcmeRequest,
} from "./context.ts";
import { readContact } from "./contact.ts";
import type { Signer } from "./ports.ts";
import { accountJson, link, type Reply } from "./resources.ts";
import { isId } from "./urls.ts";

/**
 * Reads, updates or deactivates the account that signed. Members other than `contact` and `status: deactivated` are ignored (§7.3.2).
 * @throws {Problem} notFound for another account's URL · unauthorized (401) when not valid
 */
export async function account(request: AcmeRequest, { accounts, limits, urls }: AcmeContext): Promise<Reply> {
  const owner = own(request);
  const { payload = {} } = request;
  const contact = "contact" in payload ? readContact(payload["contact"], limits.contactsPerAccount) : undefined;
  const changed =
    payload["status"] === "deactivated"
      ? await accounts.deactivateAccount(owner)
      : contact !== undefined
        ? await accounts.updateContact(owner, contact)
        : undefined;
  const now = changed ?? (await accounts.findAccount(owner.directory, owner.id));
  if (now === undefined) throw problem("accountDoesNotExist", "there is no such account");
  if (changed === undefined) requireValid(now.status);
  if (!now.thumbprint.equals(owner.thumbprint)) throw new KeySuperseded();
  return { status: 200, body: accountJson(now, urls) };
}

/** The account's orders, without the invalid ones, a page at a time with `Link: rel="next"`. */
export async function accountOrders(request: AcmeRequest, { orders, limits, urls }: AcmeContext): Promise<Reply> {
  const owner = own(request);
  const { after } = request.query;
  if (after !== undefined && !(typeof after === "string" && isId(after))) throw noSuchResource();
  // One more than a page tells whether there is a next one.
  const ids = required(await orders.listOrders(owner, after, limits.ordersPerPage + 1));
  const page = ids.slice(0, limits.ordersPerPage);
  const last = page.at(-1);
  const more = ids.length > page.length && last !== undefined;
  return {
    status: 200,
    headers: { ...(more && { link: link(urls.orders(owner.id, last), "next") }) },
    body: { orders: page.map(urls.order) },
  };
}

function own(request: AcmeRequest): Signer {
  const owner = signer(request);
  if (request.parameters["account"] !== owner.id) throw noSuchResource();
  return owner;
}
