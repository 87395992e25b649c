/** ACME objects as JSON (RFC 8555 §7.1), with their URLs. What has run out of time reads as ended, whether a job has seen it or not. */
import type { Account } from "./accountPorts.ts";
import type { Authorization, Challenge, Order } from "./ports.ts";
import type { Urls } from "./urls.ts";

/** A reply of the ACME room; `http/` sends it. A string body is sent as it is, an object as JSON. */
export interface Reply {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string | string[]>>;
  readonly body?: object | string | Buffer;
  readonly contentType?: string;
}

/** RFC 3339 in UTC, to the second. */
export const timestamp = (date: Date): string => `${date.toISOString().slice(0, 19)}Z`;

/** One value of a Link header (RFC 8288). */
export const link = (url: string, relation: string): string => `<${url}>;rel="${relation}"`;

/** How long a client should wait before it asks again for something that is processing; seconds. */
export const retryAfterSeconds = 1;

/** The same for a challenge: until its next attempt has been made (RFC 8555 §8.2). */
export function challengeRetryAfter({ retryAt }: Pick<Challenge, "retryAt">, now: Date): number {
  if (retryAt === undefined) return retryAfterSeconds;
  return Math.max(retryAfterSeconds, Math.ceil((Date.parse(retryAt) - now.getTime()) / 1000) + 1);
}

/** The account object (RFC 8555 §7.1.2). */
export function accountJson(account: Account, urls: Urls): object {
  return {
    status: account.status,
    contact: account.contact,
    ...(account.termsAgreedAt !== null && { termsOfServiceAgreed: true }),
    ...(account.externalAccountBinding && { externalAccountBinding: account.externalAccountBinding }),
    orders: urls.orders(account.id),
  };
}

/** The status an order shows at `now` (RFC 8555 §7.1.6): pending and ready end with their time. */
export const orderStatus = (order: Order, now: Date): Order["status"] =>
  order.expiresAt <= now && (order.status === "pending" || order.status === "ready") ? "invalid" : order.status;

/** The order object (RFC 8555 §7.1.3), with its status as of `now`. */
export function orderJson(order: Order, urls: Urls, now: Date): object {
  return {
    status: orderStatus(order, now),
    expires: timestamp(order.expiresAt),
    identifiers: order.identifiers,
    profile: order.profile,
    ...(order.notBefore && { notBefore: timestamp(order.notBefore) }),
    ...(order.notAfter && { notAfter: timestamp(order.notAfter) }),
    ...(order.replaces !== null && { replaces: order.replaces }), // RFC 9773 §5
    ...(order.error && { error: order.error }),
    authorizations: [...new Set(order.authorizationIds)].map(urls.authorization),
    finalize: urls.finalize(order.id),
    ...(order.status === "valid" &&
      order.certificateSerial && { certificate: urls.certificate(order.certificateSerial.toString("hex")) }),
  };
}

/** An order as a reply; clients of several kinds follow `Location` while it is processing (mod_md, x/crypto). */
export function orderReply(order: Order, urls: Urls, now: Date, status = 200): Reply {
  return {
    status,
    headers: {
      location: urls.order(order.id),
      ...(order.status === "processing" && { "retry-after": String(retryAfterSeconds) }),
    },
    body: orderJson(order, urls, now),
  };
}

/** A pending authorization that ran out is invalid, a valid one is expired (RFC 8555 §7.1.6). */
export function authorizationStatus({ status, expiresAt }: Authorization, now: Date): Authorization["status"] {
  if (expiresAt > now) return status;
  return status === "pending" ? "invalid" : status === "valid" ? "expired" : status;
}

/** The authorization object (RFC 8555 §7.1.4), with its status as of `now`. */
export function authorizationJson(authorization: Authorization, urls: Urls, now: Date): object {
  return {
    status: authorizationStatus(authorization, now),
    expires: timestamp(authorization.expiresAt),
    identifier: authorization.identifier,
    ...(authorization.wildcard && { wildcard: true }),
    ...(authorization.subdomains && { subdomainAuthAllowed: true }),
    challenges: authorization.challenges.map((challenge) => challengeJson(authorization, challenge, urls, now)),
  };
}

/** A challenge of an authorization that ran out cannot be met any more, whatever it was when that happened. */
export function challengeJson(authorization: Authorization, challenge: Challenge, urls: Urls, now: Date): object {
  const over = authorization.status === "pending" && authorization.expiresAt <= now && challenge.status !== "valid";
  const status = over ? "invalid" : challenge.status;
  const { retryAt: _, caaCheckedAt: __, activation: ___, delegation: ____, token, ...shown } = challenge;
  // A record of dns-persist-01 is made of what lasts: its challenge has no token.
  return {
    ...shown,
    ...(challenge.type !== "dns-persist-01" && { token }),
    status,
    url: urls.challenge(authorization.id, challenge.type),
  };
}
