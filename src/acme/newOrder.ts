/** newOrder (RFC 8555 §7.4). */
import { identityNameOf } from "../authority/identityName.ts";
import { attestedOrder } from "./attestedOrder.ts";
import { bodyTooLarge, named, signer, stateIsChanging, type AcmeContext, type AcmeRequest } from "./context.ts";
import { ancestorsOf, type RequestedIdentifier } from "./identifiers.ts";
import { newAuthorization, type AuthorizationFacts, type Wanted } from "./newAuthorization.ts";
import { countedUnlessOurs, limitOrder, overLimit } from "./limits/orderLimits.ts";
import { orderEnd, readOrderRequest } from "./orderRequest.ts";
import type { Identifier, MadeOrder, NewOrder, Order, Signer, WantedAuthorization } from "./ports.ts";
import { alreadyReplaced, requirePredecessor } from "./replaces.ts";
import { orderReply, type Reply } from "./resources.ts";
import { requireAgreed } from "./termsOfService.ts";

/**
 * Makes an order with an authorization for each identifier, which may be one that is there already. One that comes with its evidence is
 * `attestedOrder`'s.
 * @throws {Problem} malformed · unsupportedIdentifier · rejectedIdentifier · invalidProfile · rateLimited · unauthorized (401) ·
 *   userActionRequired · for `replaces` also notFound · alreadyReplaced (409)
 */
export async function newOrder(request: AcmeRequest, context: AcmeContext): Promise<Reply> {
  const account = signer(request);
  const { payload = {} } = request;
  if ("evidence" in payload) return await attestedOrder(request, context);
  if (request.octets > context.limits.bodyLimitBytes) throw bodyTooLarge();
  const now = context.now();
  const { requested, profile, replaces, delegation, ...asked } = await readOrderRequest(payload, account, now, context);
  const { identifiers } = asked;

  const valuesOf = (of: Identifier["type"]) => identifiers.filter(({ type }) => type === of).map(({ value }) => value);
  const expiresAt = orderEnd(identifiers, now, context);
  const order: NewOrder = {
    id: context.newId(),
    ...asked,
    profile: profile.name,
    profileHash: profile.hash,
    expiresAt,
    ...wantedAuthorizations(requested, { profile: profile.name, expiresAt, now, delegation }, context),
    reuse: context.options.reuseAuthorizations,
    replaces,
    accountSpkiSha256: account.key.spkiSha256,
    termsOfService: context.termsOfService,
    identityName: identityNameOf({
      dns: valuesOf("dns"),
      ip: valuesOf("ip"),
      uri: valuesOf("uri"),
      permanentIdentifiers: valuesOf("permanent-identifier"),
    }),
  };
  const counted = limitOrder(context.rateLimits, account, order);
  const made = await countedUnlessOurs(counted, () => place(context, account, order));
  const reply: Order = { ...order, ...made, replaces: replaces?.id ?? null, error: null, certificateSerial: null };
  return orderReply(reply, context.urls, now, 201);
}

/** What stood in an order's way may have passed by the time it is looked for: then the order is tried once more. */
const placeAttempts = 2;

async function place(context: AcmeContext, by: Signer, order: NewOrder): Promise<MadeOrder> {
  for (let attempt = 1; attempt <= placeAttempts; attempt++) {
    const made = await context.orders.createOrder(by, order);
    if (made !== undefined) return made;
    const over = await context.orders.whyNoOrder(by, order);
    if (over !== undefined) throw overLimit(context.rateLimits, over);
    await requireAgreed(context, by);
    if (order.replaces !== null) await requirePredecessor(context, by, order.replaces, order.identifiers);
  }
  throw order.replaces === null ? stateIsChanging() : alreadyReplaced();
}

/** The authorizations that the order needs, each once, and which identifier each is for. */
function wantedAuthorizations(
  requested: readonly RequestedIdentifier[],
  facts: AuthorizationFacts,
  context: AcmeContext,
): Pick<NewOrder, "authorizations" | "authorizationOf"> {
  const indexOf = new Map<string, number>();
  const authorizations: WantedAuthorization[] = [];
  const authorizationOf = requested.map((identifier) => {
    const wanted = wantedFor(identifier);
    const key = `${wanted.subdomains} ${named(wanted.identifier)}`; // A device may be called as a host is.
    const known = indexOf.get(key);
    if (known !== undefined) return known;
    const ancestors = context.options.subdomainAuthorizations ? ancestorsOf(wanted.identifier) : [];
    // One that is there was given on other terms than this order's delegation.
    const fresh = facts.delegation !== undefined && wanted.identifier.type === "uri";
    indexOf.set(key, authorizations.length);
    return authorizations.push({ ...newAuthorization(wanted, facts, context), ancestors, fresh }) - 1;
  });
  return { authorizations, authorizationOf };
}

/** RFC 9444 §4.3: a client that controls an ancestor may prove that instead. */
function wantedFor({ type, value, ancestorDomain }: RequestedIdentifier): Wanted {
  if (ancestorDomain === undefined) return { identifier: { type, value }, subdomains: false };
  return { identifier: { type, value: ancestorDomain }, subdomains: true };
}
