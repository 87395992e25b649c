/** The steps between newOrder and certificate, as tests of the ACME room need them: good evidence, bad evidence, http-01. */
import {
  X509Certificate,
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  randomUUID,
  type KeyObject,
} from "node:crypto";
import { promises as fs } from "node:fs";
import path from "node:path";
import pg from "pg";
import { encodeCsr } from "../../src/x509/csrWriter.ts";
import { compact, type TestKey } from "../attestation/testIssuer.ts";
import {
  base64url,
  uri,
  type AcmeClient,
  type Authorization,
  type Challenge,
  type ClientKey,
  type Order,
  type Reply,
} from "./acmeDriver.ts";
import type { TestAuthority } from "./certificateAuthority.ts";
import { httpTarget, type Teardown } from "./validationTargets.ts";

/** A key to be certified. */
export interface CertificateKey {
  readonly privateKey: KeyObject;
  /** S of workload-attest-01: base64url SHA-256 of the SubjectPublicKeyInfo. */
  readonly spki: string;
  /** A request for these names, base64url. */
  csr(names: {
    readonly dns?: readonly string[];
    readonly ip?: readonly string[];
    readonly uri?: readonly string[];
  }): string;
}

export function certificateKey(
  { privateKey }: { readonly privateKey: KeyObject } = generateKeyPairSync("ec", { namedCurve: "P-256" }),
): CertificateKey {
  const spki = createPublicKey(privateKey).export({ type: "spki", format: "der" });
  return {
    privateKey,
    spki: createHash("sha256").update(spki).digest("base64url"),
    csr: ({ dns = [], ip = [], uri: uris = [] }) => base64url(encodeCsr({ key: privateKey, dns, ip, uri: uris })),
  };
}

/** Under the development grant. */
export const spiffeIdOf = (subject: string): string => `spiffe://mayfly.localhost/dev/${subject}`;

/** The binding value B, written out from the specification. */
export function bindingOf({ token }: Challenge, { thumbprint }: ClientKey, spki: string): string {
  const hash = createHash("sha256").update("acme-workload-attest-01\0", "latin1");
  return hash.update(`${token}.${thumbprint}\0`, "latin1").update(Buffer.from(spki, "base64url")).digest("base64url");
}

export interface Attesting {
  readonly alice: AcmeClient;
  readonly subject: string;
  readonly spiffeId: string;
  readonly order: Order;
  readonly authorization: Authorization;
  readonly challenge: Challenge;
  readonly key: CertificateKey;
  /** The server's audience with the binding value of this account, challenge and key. */
  readonly boundAudience: string;
}

/** An order for one SPIFFE ID whose challenge waits for evidence. */
export async function attesting(
  ca: TestAuthority,
  alice: AcmeClient,
  subject: string = randomUUID(),
  /** Further members of newOrder. */
  more: object = {},
): Promise<Attesting> {
  const spiffeId = spiffeIdOf(subject);
  const order = await alice.order({ identifiers: [uri(spiffeId)], ...more });
  const authorization = await alice.readAuthorization(order.authorizations[0]);
  const [challenge] = authorization.challenges;
  if (challenge === undefined) throw new Error("no challenge");
  const key = certificateKey();
  const boundAudience = `${audienceOf(ca)}/${bindingOf(challenge, alice.key, key.spki)}`;
  return { alice, subject, spiffeId, order, authorization, challenge, key, boundAudience };
}

export const audienceOf = ({ configuration }: TestAuthority): string => configuration.audience;

/** Answers the challenge with one token of the development source. */
export function respond({ alice, challenge, key }: Attesting, value: string, spki = key.spki): Promise<Reply> {
  return alice.post(challenge.url, { spki, evidence: [{ format: "jwt", ref: "dev", value }] });
}

/** The same, with the order `ready` at the end. */
export async function attested(
  ca: TestAuthority,
  alice: AcmeClient,
  subject?: string,
  more?: object,
): Promise<Attesting> {
  const flow = await attesting(ca, alice, subject, more);
  const reply = await respond(flow, await ca.devToken(flow.subject, flow.boundAudience));
  if (reply.json()["status"] !== "valid") throw new Error(`not attested: ${reply.text}`);
  return flow;
}

/** An issued certificate, PEM chain, of the account. */
export async function issued(
  ca: TestAuthority,
  alice: AcmeClient,
  subject?: string,
  more?: object,
): Promise<Attesting & { readonly certificateUrl: string; readonly chain: string }> {
  const flow = await attested(ca, alice, subject, more);
  const reply = await alice.post(flow.order.finalize, { csr: flow.key.csr({ uri: [flow.spiffeId] }) });
  const certificateUrl = String(reply.json()["certificate"]);
  return { ...flow, certificateUrl, chain: (await alice.postAsGet(certificateUrl)).text };
}

/** The DER of the first certificate of a PEM chain, base64url as revokeCert wants it. */
export function leafOf(chain: string): string {
  const [, body = ""] = /-----BEGIN CERTIFICATE-----\n([^-]+)-----END/.exec(chain) ?? [];
  return base64url(Buffer.from(body, "base64"));
}

/** The key of the development source, to sign tokens that its issuer never would. */
export async function developmentKey({ dataDir }: TestAuthority): Promise<TestKey> {
  const jwk = JSON.parse(await fs.readFile(path.join(dataDir, "dev-issuer.jwk"), "utf8")) as Record<string, string>;
  return { kid: jwk["kid"] ?? "", alg: "ES256", jwk, privateKey: createPrivateKey({ key: jwk, format: "jwk" }) };
}

/** A token of the development source with some claims or headers in place of good ones; `undefined` leaves one out. */
export async function craftedToken(
  ca: TestAuthority,
  flow: Attesting,
  claims: Readonly<Record<string, unknown>> = {},
  header: Readonly<Record<string, unknown>> = {},
  key?: TestKey,
): Promise<string> {
  const now = Math.floor(Date.now() / 1000);
  const good = {
    iss: `${ca.url}/dev`,
    sub: flow.subject,
    aud: flow.boundAudience,
    iat: now,
    exp: now + 300,
    jti: randomUUID(),
  };
  return compact(key ?? (await developmentKey(ca)), { ...good, ...claims }, header);
}

/** A web server on loopback that answers http-01 for every name. Its port goes into `validation.http01Port`. */
export interface Http01Target {
  readonly port: number;
  /** How often each path was asked for. */
  readonly asked: Map<string, number>;
  /** From now on this text is the answer for a token. */
  set(token: string, answer: string): void;
}

export async function http01Target(t: Teardown): Promise<Http01Target> {
  const answers = new Map<string, string>();
  const asked = new Map<string, number>();
  const port = await httpTarget(t, (request, response) => {
    const url = request.url ?? "";
    asked.set(url, (asked.get(url) ?? 0) + 1);
    const answer = answers.get(url.replace("/.well-known/acme-challenge/", ""));
    response.writeHead(answer === undefined ? 404 : 200).end(answer);
  });
  return { port, asked, set: (token, answer) => void answers.set(token, answer) };
}

/** The challenge of this type. */
export function challengeOf({ challenges }: Authorization, type: string): Challenge {
  const found = challenges.find((challenge) => challenge.type === type);
  if (found === undefined) throw new Error(`no ${type} among ${challenges.map((one) => one.type).join()}`);
  return found;
}

/** Makes the target show the key authorization of this authorization's http-01 challenge. */
export function show(target: Http01Target, { key }: AcmeClient, authorization: Authorization): Challenge {
  const challenge = challengeOf(authorization, "http-01");
  target.set(challenge.token, `${challenge.token}.${key.thumbprint}`);
  return challenge;
}

/** Responds to every http-01 challenge of the order, which is `ready` then. */
export async function validate(target: Http01Target, alice: AcmeClient, order: Order): Promise<void> {
  for (const url of order.authorizations) {
    const authorization = await alice.readAuthorization(url);
    await alice.post(show(target, alice, authorization).url, {});
    await settled(alice, url);
  }
}

/** The authorization once it is not pending any more. */
export async function settled(alice: AcmeClient, url: string): Promise<Authorization> {
  for (let round = 0; round < 100; round++) {
    const authorization = await alice.readAuthorization(url);
    if (authorization.status !== "pending") return authorization;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error("an authorization stays pending");
}

/** One statement on the authority's database, for states that no client can bring about. */
export async function query(
  { databaseUrl }: TestAuthority,
  text: string,
  values: readonly unknown[] = [],
): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(text, [...values])).rows;
  } finally {
    await client.end();
  }
}

/** The id at the end of a URL. */
export const idOf = (url: string): string => url.split("/").at(-1) ?? "";

/** AuthorityKeyIdentifier with nothing but the key identifier: its OID, then the octets around the 20 that count. */
const keyIdentifierPattern = /0603551d2304183016(?:8014)([0-9a-f]{40})/;

/** The id of a PEM chain's first certificate in renewal information (RFC 9773 §4.1), from its octets. */
export function certificateIdOf(chain: string): string {
  const der = Buffer.from(leafOf(chain), "base64url");
  const [, key = ""] = keyIdentifierPattern.exec(der.toString("hex")) ?? [];
  // Node prints the number; DER puts a zero octet before a high bit.
  const serial = new X509Certificate(der).serialNumber.replace(/^(?=[89A-F])/, "00");
  return [key, serial].map((hex) => base64url(Buffer.from(hex, "hex"))).join(".");
}
