/** The two ways to a certificate that the benchmark drives: attested (our own challenge) and http-01 (any ACME server). */
import { createPrivateKey, createPublicKey, generateKeyPairSync, sign, type KeyObject } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";

import { bindingValue, spkiDigest } from "../src/client/binding.ts";
import { openDeadline, type Deadline } from "../src/client/deadline.ts";
import type { HttpsAnswer, HttpsTransport } from "../src/client/http.ts";
import { jwsSigner, type JwsSigner } from "../src/client/jws.ts";
import { acmeSession, type AcmeSession, type ObservedExchange } from "../src/client/session.ts";
import type { Directory } from "../src/client/resources.ts";
import { encodeCsr } from "../src/x509/csrWriter.ts";

export interface FlowOptions {
  readonly directoryUrl: string;
  readonly transport: HttpsTransport;
  readonly observe: (exchange: ObservedExchange) => void;
}

/** One issuance with a fresh account key and a fresh certificate key; resolves to the PEM chain. */
export type Flow = (number: number) => Promise<string>;

/** Who asks, and how. */
export interface Acting {
  readonly session: AcmeSession;
  readonly signer: JwsSigner;
  readonly kid: string;
  readonly deadline: Deadline;
}

/** The directory is fetched once for all: an agent keeps it. */
const directories = new Map<string, Directory>();

/** A fresh key. */
export const p256 = (): KeyObject => generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
/** The body of an answer. */
export const json = (answer: HttpsAnswer): Record<string, unknown> =>
  JSON.parse(answer.body.toString()) as Record<string, unknown>;
const location = (answer: HttpsAnswer): string => answer.header("location") ?? "";

/** newNonce, newAccount. Each worker knows the directory already. */
export async function openAccount(options: FlowOptions): Promise<Acting & { readonly newOrder: string }> {
  const deadline = openDeadline(60_000, undefined);
  const session = acmeSession(
    options.directoryUrl,
    options.transport,
    options.observe,
    directories.get(options.directoryUrl),
  );
  const signer = jwsSigner(p256());
  const known = await session.directory(deadline);
  directories.set(options.directoryUrl, known);
  const { newAccount, newOrder } = known;
  const account = await session.post(
    { step: "newAccount", url: newAccount, signer, payload: { termsOfServiceAgreed: true } },
    deadline,
  );
  return { session, signer, kid: location(account), deadline, newOrder };
}

/** The same and newOrder: what the flows with challenges begin with. */
async function begin(
  options: FlowOptions,
  identifier: object,
): Promise<Acting & { order: Record<string, unknown>; orderUrl: string }> {
  const { newOrder, ...acting } = await openAccount(options);
  const answer = await acting.session.post(
    { step: "newOrder", url: newOrder, ...acting, payload: { identifiers: [identifier] } },
    acting.deadline,
  );
  return { ...acting, order: json(answer), orderUrl: location(answer) };
}

async function finish(acting: Acting, order: Record<string, unknown>, orderUrl: string, csr: Buffer): Promise<string> {
  const { session, deadline } = acting;
  let now = json(
    await session.post(
      { step: "finalize", url: String(order["finalize"]), ...acting, payload: { csr: csr.toString("base64url") } },
      deadline,
    ),
  );
  while (now["status"] === "processing") {
    await deadline.wait(100, "the order is processing");
    now = json(await session.post({ step: "order", url: orderUrl, ...acting }, deadline));
  }
  const answer = await session.post({ step: "certificate", url: String(now["certificate"]), ...acting }, deadline);
  deadline.end();
  return answer.body.toString("latin1");
}

/** Mints a nonce-bound token of the development source with one bare signature. */
export function tokenMint(issuerFile: string, issuer: string): (subject: string, audience: string) => string {
  const jwk = JSON.parse(readFileSync(issuerFile, "utf8")) as { kid?: string };
  const key = createPrivateKey({ key: jwk, format: "jwk" });
  const encoded = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");
  const header = encoded({ alg: "ES256", typ: "JWT", kid: jwk.kid });
  let count = 0;
  return (subject, audience) => {
    const iat = Math.floor(Date.now() / 1000);
    const input = `${header}.${encoded({ iss: issuer, sub: subject, aud: audience, iat, exp: iat + 300, jti: `bench-${process.pid}-${count++}` })}`;
    return `${input}.${sign("sha256", Buffer.from(input), { key, dsaEncoding: "ieee-p1363" }).toString("base64url")}`;
  };
}

/** The seven requests of workload-attest-01, one agent each. */
export function attestedFlow(
  options: FlowOptions,
  trustDomain: string,
  mint: (subject: string, audience: string) => string,
): Flow {
  return async (number) => {
    const subject = `agent-${number}`;
    const uri = `spiffe://${trustDomain}/dev/${subject}`;
    const { order, orderUrl, ...acting } = await begin(options, { type: "uri", value: uri });
    const [authorizationUrl] = order["authorizations"] as string[];
    const authorization = json(
      await acting.session.post({ step: "authorization", url: authorizationUrl ?? "", ...acting }, acting.deadline),
    );
    const challenge = (authorization["challenges"] as Record<string, string>[])[0] ?? {};
    const key = p256();
    const spki = createPublicKey(key).export({ type: "spki", format: "der" });
    const digest = spkiDigest(spki);
    const binding = bindingValue(challenge["token"] ?? "", acting.signer.thumbprint, digest);
    const value = mint(subject, `${challenge["audience"]}/${binding}`);
    const payload = { spki: digest.toString("base64url"), evidence: [{ format: "jwt", ref: "dev", value }] };
    const answered = json(
      await acting.session.post(
        { step: "challenge", url: challenge["url"] ?? "", ...acting, payload },
        acting.deadline,
      ),
    );
    if (answered["status"] !== "valid")
      throw new Error(`the challenge is ${String(answered["status"])}: ${JSON.stringify(answered["error"])}`);
    return await finish(acting, order, orderUrl, encodeCsr({ key, spki, dns: [], ip: [], uri: [uri] }));
  };
}

/** http-01 against any ACME server; the responder below answers for every name. */
export function http01Flow(options: FlowOptions, domain: string, responder: Http01Responder): Flow {
  return async (number) => {
    const name = `bench-${process.pid}-${number}.${domain}`;
    const { order, orderUrl, ...acting } = await begin(options, { type: "dns", value: name });
    const { session, deadline } = acting;
    const [authorizationUrl] = order["authorizations"] as string[];
    const read = async () =>
      json(await session.post({ step: "authorization", url: authorizationUrl ?? "", ...acting }, deadline));
    let authorization = await read();
    const challenge =
      (authorization["challenges"] as Record<string, string>[]).find(({ type }) => type === "http-01") ?? {};
    responder.answer(challenge["token"] ?? "", `${challenge["token"]}.${acting.signer.thumbprint}`);
    await session.post({ step: "challenge", url: challenge["url"] ?? "", ...acting, payload: {} }, deadline);
    for (authorization = await read(); authorization["status"] === "pending"; authorization = await read())
      await deadline.wait(20, "the authorization is pending");
    if (authorization["status"] !== "valid") throw new Error(`the authorization is ${JSON.stringify(authorization)}`);
    responder.forget(challenge["token"] ?? "");
    const key = p256();
    const spki = createPublicKey(key).export({ type: "spki", format: "der" });
    return await finish(acting, order, orderUrl, encodeCsr({ key, spki, dns: [name], ip: [], uri: [] }));
  };
}

export interface Http01Responder {
  answer(token: string, keyAuthorization: string): void;
  forget(token: string): void;
  close(): void;
}

/** Serves key authorizations on loopback. */
export async function http01Responder(port: number): Promise<Http01Responder> {
  const answers = new Map<string, string>();
  const server: Server = createServer((request, response) => {
    const body = answers.get(request.url?.split("/").at(-1) ?? "");
    response.writeHead(body === undefined ? 404 : 200, { "content-type": "text/plain" }).end(body);
  });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject).listen(port, "127.0.0.1", resolve);
  await promise;
  return {
    answer: (token, keyAuthorization) => void answers.set(token, keyAuthorization),
    forget: (token) => void answers.delete(token),
    close: () => void server.close(),
  };
}
