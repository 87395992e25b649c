/** Every URL of the ACME room, built from the configured external URL and never from a request's Host (H-32). */

const uuid = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}";
const uuidPattern = new RegExp(`^${uuid}$`);

/** True for the text form of our ids; anything else in a URL names no object. */
export const isId = (text: string): boolean => uuidPattern.test(text);

/** Where each resource lies below its directory's prefix; `:name` stands for one segment. */
export interface AcmePaths {
  readonly directory: string;
  readonly newNonce: string;
  readonly newAccount: string;
  readonly newAuthz: string;
  readonly newOrder: string;
  readonly revokeCert: string;
  readonly keyChange: string;
  /** A certificate's id (RFC 9773 §4.1) follows as a segment. */
  readonly renewalInfo: string;
  /** With `:account`. */
  readonly account: string;
  readonly orders: string;
  /** With `:order`. */
  readonly order: string;
  readonly finalize: string;
  /** With `:authorization`. */
  readonly authorization: string;
  /** With `:authorization` and `:type`: a challenge is its authorization's, and the one of its type. */
  readonly challenge: string;
  /** With `:serial`, in hexadecimal. */
  readonly certificate: string;
  /** The same with another chain: with `:serial` and `:chain`. */
  readonly alternate: string;
}

export const acmePaths: AcmePaths = {
  directory: "/directory",
  newNonce: "/new-nonce",
  newAccount: "/new-account",
  newAuthz: "/new-authz",
  newOrder: "/new-order",
  revokeCert: "/revoke-cert",
  keyChange: "/key-change",
  renewalInfo: "/renewal-info",
  account: "/account/:account",
  orders: "/account/:account/orders",
  order: "/order/:order",
  finalize: "/order/:order/finalize",
  authorization: "/authorization/:authorization",
  challenge: "/challenge/:authorization/:type",
  certificate: "/certificate/:serial",
  alternate: "/certificate/:serial/alternate/:chain",
};

/** Below the external URL: the directory that is always there. Further ones lie at `/acme/<name>`. */
const acmePrefix = "/acme";

export type Urls = ReturnType<typeof createUrls>;

/**
 * @param externalUrl scheme, host and port, without a trailing slash
 * @param prefix of the directory, without a trailing slash
 */
export function createUrls(externalUrl: string, prefix: string = acmePrefix, paths: AcmePaths = acmePaths) {
  const at = `${externalUrl}${prefix}`;
  const filled = (path: string, ...values: string[]): string => {
    let next = 0;
    return `${at}${path.replaceAll(/:\w+/g, () => values[next++] ?? "")}`;
  };
  /** A path with one parameter, taken apart once: these are written into every reply. */
  const withOne = (path: string): ((value: string) => string) => {
    const [before = "", after = ""] = path.split(/:\w+/);
    return (value) => `${at}${before}${value}${after}`;
  };
  const ordersOf = withOne(paths.orders);
  const accountPattern = new RegExp(
    `^${escapeRegExp(at)}${escapeRegExp(paths.account).replace(":account", `(${uuid})`)}$`,
  );
  return {
    /** The URL that a request for this path must have signed (RFC 8555 §6.4). */
    requested: (path: string) => `${externalUrl}${path}`,
    directory: filled(paths.directory),
    /** What hashed account URIs begin with (draft-ietf-acme-dns-persist-02 §4.1); nothing is served there. */
    accountHashPrefix: `${at}/account-hash/`,
    newNonce: filled(paths.newNonce),
    newAccount: filled(paths.newAccount),
    newAuthz: filled(paths.newAuthz),
    newOrder: filled(paths.newOrder),
    revokeCert: filled(paths.revokeCert),
    keyChange: filled(paths.keyChange),
    renewalInfo: filled(paths.renewalInfo),
    account: withOne(paths.account),
    orders: (accountId: string, after?: string) =>
      `${ordersOf(accountId)}${after === undefined ? "" : `?after=${after}`}`,
    order: withOne(paths.order),
    finalize: withOne(paths.finalize),
    authorization: withOne(paths.authorization),
    challenge: (authorizationId: string, type: string) => filled(paths.challenge, authorizationId, type),
    certificate: withOne(paths.certificate),
    alternate: (serial: string, chain: string) => filled(paths.alternate, serial, chain),
    /** The account id of a `kid`, or undefined when it is no account URL of this directory (RFC 8555 §6.2). */
    accountIdOf: (kid: string): string | undefined => accountPattern.exec(kid)?.[1],
  };
}

const escapeRegExp = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
