/**
 * An ACME client for tests that can send what no well-behaved client can: any header, payload, signature, content type and method.
 * It signs with `node:crypto` alone and shares no code with the server, so that the two can disagree.
 */
import { createHash, generateKeyPairSync, sign, type KeyObject } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import { Agent, request as httpsRequest } from "node:https";
import type { TestOwner } from "./certificateAuthority.ts";

export type Algorithm = "ES256" | "ES384" | "ES512" | "EdDSA" | "RS256";

/** A key that signs requests. */
export interface ClientKey {
  readonly alg: Algorithm;
  readonly privateKey: KeyObject;
  /** Public members only. */
  readonly jwk: Readonly<Record<string, string>>;
  /** RFC 7638, base64url. */
  readonly thumbprint: string;
}

export interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  readonly text: string;
  /** The body as a JSON object. @throws {SyntaxError} where it is none */
  json(): Readonly<Record<string, unknown>>;
}

export interface RawRequest {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
}

/** What a request has in place of what a good client would send. A member that is `undefined` leaves its part out. */
export interface Overrides {
  /** Merged over the protected header. */
  readonly header?: Readonly<Record<string, unknown>>;
  /** The text of `protected`, as it goes over the wire. */
  readonly protected?: string;
  /** The text of `payload`, as it goes over the wire; it is signed as it is. */
  readonly payload?: string;
  /** Makes the text of `signature` from the right one. */
  readonly signature?: (right: Buffer) => string;
  /** Merged over the flattened JWS. */
  readonly jws?: Readonly<Record<string, unknown>>;
  /** Makes the body from the right one. */
  readonly body?: (right: string) => string | Buffer;
  /** Signs in place of the client's own key. */
  readonly key?: ClientKey;
  /** Identifies the signer in place of what the client would use. */
  readonly by?: "jwk" | "kid";
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Identifier {
  readonly type: string;
  readonly value: string;
}
export const dns = (value: string): Identifier => ({ type: "dns", value });
export const uri = (value: string): Identifier => ({ type: "uri", value });
export const ip = (value: string): Identifier => ({ type: "ip", value });

/** An order as it was read. */
export interface Order {
  readonly url: string;
  readonly status: string;
  readonly identifiers: readonly Identifier[];
  readonly authorizations: readonly [string, ...string[]];
  readonly finalize: string;
  readonly certificate?: string;
  readonly expires: string;
}
export interface Challenge {
  readonly type: string;
  readonly url: string;
  readonly token: string;
  readonly status: string;
  readonly error?: { readonly type: string; readonly subproblems?: readonly { readonly type: string }[] };
  readonly [member: string]: unknown;
}
export interface Authorization {
  readonly url: string;
  readonly status: string;
  readonly identifier: Identifier;
  readonly wildcard?: boolean;
  readonly subdomainAuthAllowed?: boolean;
  readonly expires?: string;
  readonly challenges: readonly Challenge[];
}

export interface AcmeClient {
  readonly key: ClientKey;
  /** The account URL; the empty text as long as there is none. */
  readonly account: string;
  /** A signed POST: by `kid` once there is an account, by `jwk` before. */
  post(url: string, payload: unknown, overrides?: Overrides): Promise<Reply>;
  postAsGet(url: string, overrides?: Overrides): Promise<Reply>;
  /** Registers; the account URL of a good reply is kept. */
  register(payload?: object, overrides?: Overrides): Promise<Reply>;
  /** @throws {Error} when there is no such order */
  newOrder(...identifiers: Identifier[]): Promise<Order>;
  /** The same, with any payload. */
  order(payload: object): Promise<Order>;
  /** A pre-authorization. @throws {Error} when there is none */
  newAuthz(identifier: object, members?: object): Promise<Authorization>;
  readOrder(url: string): Promise<Order>;
  readAuthorization(url: string): Promise<Authorization>;
  /** Signs with another key from now on (after a key change). */
  useKey(key: ClientKey): void;
}

export interface Directory {
  readonly newNonce: string;
  readonly newAccount: string;
  readonly newAuthz: string;
  readonly newOrder: string;
  readonly revokeCert: string;
  readonly keyChange: string;
  readonly renewalInfo: string;
  readonly meta: Readonly<Record<string, unknown>>;
}

export interface AcmeDriver {
  readonly directory: Directory;
  /** Any HTTP request whatsoever. */
  request(url: string, request?: RawRequest): Promise<Reply>;
  /** A nonce that nothing else uses. */
  nonce(): Promise<string>;
  /** A client without an account. */
  client(key?: ClientKey): AcmeClient;
  /** A client with one. */
  account(payload?: object): Promise<AcmeClient>;
}

export const base64url = (value: string | Buffer): string => Buffer.from(value).toString("base64url");

export function clientKey(alg: Algorithm = "ES256"): ClientKey {
  const { privateKey, publicKey } = generatePair(alg);
  const { kty, crv, x, y, n, e } = publicKey.export({ format: "jwk" });
  const members = Object.entries({ kty, crv, x, y, n, e }).filter(
    (entry): entry is [string, string] => entry[1] !== undefined,
  );
  const jwk = Object.fromEntries(members);
  const sorted = Object.fromEntries(members.sort(([a], [b]) => (a < b ? -1 : 1)));
  return { alg, privateKey, jwk, thumbprint: createHash("sha256").update(JSON.stringify(sorted)).digest("base64url") };
}

function generatePair(alg: Algorithm): { privateKey: KeyObject; publicKey: KeyObject } {
  if (alg === "EdDSA") return generateKeyPairSync("ed25519");
  if (alg === "RS256") return generateKeyPairSync("rsa", { modulusLength: 2048 });
  return generateKeyPairSync("ec", { namedCurve: { ES256: "P-256", ES384: "P-384", ES512: "P-521" }[alg] });
}

/** The octets of a JWS signature (RFC 7515 §5.1); a wrong `alg` of an Ed25519 key changes nothing, since it has no hash to choose. */
export function signature({ alg, privateKey }: ClientKey, input: string): Buffer {
  const edwards = privateKey.asymmetricKeyType === "ed25519";
  const hash = { ES256: "sha256", ES384: "sha384", ES512: "sha512", RS256: "sha256", EdDSA: null }[alg];
  return sign(edwards ? null : hash, Buffer.from(input), { key: privateKey, dsaEncoding: "ieee-p1363" });
}

/** A flattened JWS over this header and payload; `undefined` is the payload of POST-as-GET. */
export function flattened(
  key: ClientKey,
  header: Readonly<Record<string, unknown>>,
  payload: unknown,
  overrides: Pick<Overrides, "protected" | "payload" | "signature" | "jws"> = {},
): Record<string, unknown> {
  const protectedText = overrides.protected ?? base64url(JSON.stringify(header));
  const payloadText = overrides.payload ?? (payload === undefined ? "" : base64url(JSON.stringify(payload)));
  const right = signature(key, `${protectedText}.${payloadText}`);
  return {
    protected: protectedText,
    payload: payloadText,
    signature: overrides.signature?.(right) ?? right.toString("base64url"),
    ...overrides.jws,
  };
}

/** A driver for the authority at this directory. */
export async function acmeDriver(
  t: TestOwner,
  { directoryUrl, root }: { readonly directoryUrl: string; readonly root: string },
  /** Where a request really goes, whatever its URL says: to one of several servers behind it. */
  port?: () => number,
): Promise<AcmeDriver> {
  const agent = new Agent({ keepAlive: true, maxSockets: 32, ca: root });
  t.teardown(() => agent.destroy());
  const nonces: string[] = [];
  const request = (url: string, raw?: RawRequest): Promise<Reply> => exchange(agent, url, raw, port?.());
  const directory = (await request(directoryUrl)).json() as unknown as Directory;

  async function nonce(): Promise<string> {
    const kept = nonces.pop();
    if (kept !== undefined) return kept;
    return String((await request(directory.newNonce, { method: "HEAD" })).headers["replay-nonce"]);
  }

  function client(first = clientKey()): AcmeClient {
    let key = first;
    let account = "";
    async function post(url: string, payload: unknown, overrides: Overrides = {}): Promise<Reply> {
      const signer = overrides.key ?? key;
      const by = overrides.by ?? (account === "" ? "jwk" : "kid");
      const header = {
        alg: signer.alg,
        ...(by === "jwk" ? { jwk: signer.jwk } : { kid: account }),
        ...(overrides.header !== undefined && "nonce" in overrides.header ? {} : { nonce: await nonce() }),
        url,
        ...overrides.header,
      };
      const body = JSON.stringify(flattened(signer, header, payload, overrides));
      const reply = await request(url, {
        method: overrides.method ?? "POST",
        headers: { "content-type": "application/jose+json", ...overrides.headers },
        body: overrides.body?.(body) ?? body,
      });
      const fresh = reply.headers["replay-nonce"];
      if (typeof fresh === "string") nonces.push(fresh);
      return reply;
    }
    const postAsGet = (url: string, overrides?: Overrides) => post(url, undefined, overrides);
    async function order(payload: object): Promise<Order> {
      const reply = await post(directory.newOrder, payload);
      return objectOf(reply, 201, String(reply.headers.location)) as Order;
    }
    return {
      get key() {
        return key;
      },
      get account() {
        return account;
      },
      post,
      postAsGet,
      async register(payload = {}, overrides = {}) {
        const reply = await post(directory.newAccount, payload, { by: "jwk", ...overrides });
        if (reply.status < 300) account = String(reply.headers.location);
        return reply;
      },
      newOrder: (...identifiers) => order({ identifiers }),
      order,
      async newAuthz(identifier, members = {}) {
        const reply = await post(directory.newAuthz, { identifier, ...members });
        return objectOf(reply, 201, String(reply.headers.location)) as Authorization;
      },
      readOrder: async (url) => objectOf(await postAsGet(url), 200, url) as Order,
      readAuthorization: async (url) => objectOf(await postAsGet(url), 200, url) as Authorization,
      useKey(next) {
        key = next;
      },
    };
  }

  return {
    directory,
    request,
    nonce,
    client,
    async account(payload = {}) {
      const made = client();
      const reply = await made.register(payload);
      if (reply.status !== 201) throw new Error(`no account: ${reply.text}`);
      return made;
    },
  };
}

function objectOf(reply: Reply, status: number, url: string): object {
  if (reply.status !== status) throw new Error(`${url}: ${reply.status} ${reply.text}`);
  return { ...reply.json(), url };
}

function exchange(
  agent: Agent,
  url: string,
  { method = "GET", headers = {}, body }: RawRequest = {},
  port = Number(new URL(url).port || 443),
): Promise<Reply> {
  return new Promise((resolve, reject) => {
    // Node would take the name to verify from a Host header that a test made up.
    const servername = new URL(url).hostname;
    const sent = httpsRequest(url, { agent, method, headers, servername, port }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("error", reject);
      response.on("end", () => {
        const octets = Buffer.concat(chunks);
        const text = octets.toString("utf8");
        const json = (): Record<string, unknown> => JSON.parse(text) as Record<string, unknown>;
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: octets, text, json });
      });
    });
    sent.on("error", reject);
    sent.end(body);
  });
}
