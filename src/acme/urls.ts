/** Every URL of the ACME room, built from the configured external URL and never from a request's Host (H-32). */

const uuid = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}";
const uuidPattern = new RegExp(`^${uuid}$`);

/** True for the text form of our ids; anything else in a URL names no object. */
export const isId = (text: string): boolean => uuidPattern.test(text);

export type Urls = ReturnType<typeof createUrls>;

/** @param externalUrl scheme, host and port, without a trailing slash */
export function createUrls(externalUrl: string) {
  const at = `${externalUrl}/acme`;
  const accountPattern = new RegExp(`^${escapeRegExp(`${at}/account/`)}(${uuid})$`);
  return {
    /** The URL that a request for this path must have signed (RFC 8555 §6.4). */
    requested: (path: string) => `${externalUrl}${path}`,
    directory: `${at}/directory`,
    newNonce: `${at}/new-nonce`,
    newAccount: `${at}/new-account`,
    newOrder: `${at}/new-order`,
    revokeCert: `${at}/revoke-cert`,
    keyChange: `${at}/key-change`,
    account: (id: string) => `${at}/account/${id}`,
    orders: (accountId: string, after?: string) =>
      `${at}/account/${accountId}/orders${after === undefined ? "" : `?after=${after}`}`,
    order: (id: string) => `${at}/order/${id}`,
    finalize: (id: string) => `${at}/order/${id}/finalize`,
    authorization: (id: string) => `${at}/authorization/${id}`,
    challenge: (authorizationId: string, type: string) => `${at}/challenge/${authorizationId}/${type}`,
    certificate: (serialHex: string) => `${at}/certificate/${serialHex}`,
    /** The account id of a `kid`, or undefined when it is no account URL of ours (RFC 8555 §6.2). */
    accountIdOf: (kid: string): string | undefined => accountPattern.exec(kid)?.[1],
  };
}

const escapeRegExp = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
