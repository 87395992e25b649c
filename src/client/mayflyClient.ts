/**
 * The agent's library: evidence in, verified certificate out. One pass of RFC 8555 with the challenge workload-attest-01.
 */
import { createPublicKey, generateKeyPairSync, type KeyObject, type X509Certificate } from "node:crypto";
import { encodeCsr } from "../x509/csrWriter.ts";
import { parseSpiffeId } from "../x509/spiffeId.ts";
import { answerChallenge, challengeResponse } from "./answerChallenge.ts";
import { backOffMs, type Deadline, openDeadline } from "./deadline.ts";
import { AcmeProblem, ClientError } from "./errors.ts";
import type { Accept, Evidence } from "./evidence.ts";
import { type HttpsAnswer, httpsTransport, type HttpsTransport, originOf } from "./http.ts";
import { type JwsSigner, jwsSigner } from "./jws.ts";
import { certificateIdOf, type RenewalInfo } from "./renewal.ts";
import { KnownSources, wantsChallenge } from "./knownSources.ts";
import { type Order, readOrder, readRenewalInfo, retryAfterMs } from "./resources.ts";
import { type AcmeSession, acmeSession, type ObservedExchange } from "./session.ts";
import { type ChainVerifier, chainVerifier, readPemCertificates } from "./verifyChain.ts";

export interface MayflyClientOptions {
  /** ACME directory, https only. */
  readonly directoryUrl: string;
  /** PEM: what certificate chains must lead to, and the server's TLS certificate too unless `tlsRoot` says otherwise. */
  readonly root: string | Buffer;
  /** PEM: what the server's TLS certificate must lead to, where that is another root. */
  readonly tlsRoot?: string | Buffer;
  /** ECDSA P-256 or P-384, Ed25519 or RSA. Without it, this client makes an account of its own (ES256) when first asked. */
  readonly accountKey?: KeyObject;
  /** For each request as a whole, evidence included. Default 30 000. */
  readonly timeoutMs?: number;
  readonly userAgent?: string;
  /** Told of every answered HTTP request. */
  readonly observe?: (exchange: ObservedExchange) => void;
}

export interface CertificateRequest {
  readonly spiffeId: string;
  readonly evidence: Evidence;
  /**
   * Sources that would do, as a challenge names them, where they are known beforehand. With them, or once a challenge of this client has named
   * them, evidence and CSR go with the order where the server takes them so: one request in place of five. Evidence at hand always can.
   */
  readonly accept?: readonly Accept[];
  /** False: always answer a challenge. */
  readonly inline?: boolean;
  /** Certificate profile (draft-ietf-acme-profiles-01); the server's choice when absent. */
  readonly profile?: string;
  /** On whose behalf: a token that names user, task and this workload (docs/delegation.md). */
  readonly delegation?: string;
  readonly notAfter?: Date;
  /** Private key to be certified. A fresh P-256 key when absent, which is the better habit. */
  readonly certificateKey?: KeyObject;
  /** An account other than the client's own, for this request. */
  readonly accountKey?: KeyObject;
  /**
   * Names beside the SPIFFE ID, in canonical form. This client answers no challenge for them: their authorizations must be valid
   * already when the order is made.
   */
  readonly dns?: readonly string[];
  readonly ip?: readonly string[];
  readonly signal?: AbortSignal;
  /** The certificate whose place the new one takes (RFC 9773 §5). The server is told, and asked without it where it minds. */
  readonly replaces?: X509Certificate;
}

export interface IssuedCertificate {
  readonly privateKey: KeyObject;
  /** PKCS#8; written anew each time it is asked for. */
  readonly privateKeyPem: string;
  /** Leaf and intermediates, as a TLS server presents them. */
  readonly certificatePem: string;
  /** The same, one PEM block each. */
  readonly chain: readonly string[];
  /** The roots that were given, certificates only, PEM. */
  readonly bundlePem: string;
  readonly leaf: X509Certificate;
  readonly notAfter: Date;
  /** Lower-case hexadecimal. */
  readonly serial: string;
}

/** The account a request acts for. */
interface Account {
  readonly signer: JwsSigner;
  /** Its URL. */
  readonly kid: string;
}

/** The key to be certified. */
interface Certified {
  readonly key: KeyObject;
  readonly spki: Buffer;
}

const answerBytesMax = 262_144;

/** Keeps connections, directory, nonces and accounts between requests. Requests may run at the same time. */
export class MayflyClient {
  readonly #verifyChain: ChainVerifier;
  readonly #bundlePem: string;
  readonly #transport: HttpsTransport;
  readonly #session: AcmeSession;
  readonly #timeoutMs: number;
  readonly #accounts = new WeakMap<KeyObject, Account>();
  readonly #sources = new KnownSources();
  #accountKey: KeyObject | undefined;

  /** @throws {ClientError} protocol, for a directory that is not https · chain, for a root without a certificate */
  constructor(options: MayflyClientOptions) {
    originOf(options.directoryUrl);
    const roots = readPemCertificates(options.root.toString(), "the root");
    this.#verifyChain = chainVerifier(roots);
    this.#bundlePem = roots.map(String).join("");
    this.#transport = httpsTransport({
      trustAnchors: options.tlsRoot ?? options.root,
      userAgent: options.userAgent ?? "mayfly-client/1",
      answerBytesMax,
    });
    this.#session = acmeSession(options.directoryUrl, this.#transport, options.observe ?? (() => {}));
    this.#timeoutMs = options.timeoutMs ?? 30_000;
    this.#accountKey = options.accountKey;
  }

  /**
   * Obtains one certificate. What it resolves to was verified: our key, our name, a chain to the given root, valid now.
   * @throws {AcmeProblem} the server refused · {ClientError} everything else that can be foreseen · what `evidence` throws
   */
  async request(wanted: CertificateRequest): Promise<IssuedCertificate> {
    parseSpiffeId(wanted.spiffeId);
    const privateKey = wanted.certificateKey ?? newP256Key();
    const spki = createPublicKey(privateKey).export({ type: "spki", format: "der" });
    const accountKey = wanted.accountKey ?? (this.#accountKey ??= newP256Key());
    const deadline = openDeadline(this.#timeoutMs, wanted.signal);
    try {
      const account = await this.#account(accountKey, deadline);
      const pem = await this.#issue(wanted, { key: privateKey, spki }, account, deadline);
      return this.#verified(pem, wanted, privateKey);
    } catch (error) {
      // The server may have been set up anew; the next request then registers the key again.
      if (error instanceof AcmeProblem && error.is("accountDoesNotExist")) this.#accounts.delete(accountKey);
      throw error;
    } finally {
      deadline.end();
    }
  }

  /**
   * When the server would like this certificate to be renewed (RFC 9773); undefined where it has no such thing to say.
   * @throws {AcmeProblem} the server does not know the certificate · {ClientError}
   */
  async renewalInfo(leaf: X509Certificate, signal?: AbortSignal): Promise<RenewalInfo | undefined> {
    const deadline = openDeadline(this.#timeoutMs, signal);
    try {
      const { renewalInfo } = await this.#session.directory(deadline);
      const id = certificateIdOf(leaf);
      if (renewalInfo === undefined || id === undefined) return undefined;
      return readRenewalInfo(await this.#session.get("renewalInfo", `${renewalInfo}/${id}`, deadline));
    } finally {
      deadline.end();
    }
  }

  /** Closes idle connections. */
  close(): void {
    this.#transport.close();
  }

  /** The account of this key: found or made by the server (RFC 8555 §7.3), then remembered. */
  async #account(key: KeyObject, deadline: Deadline): Promise<Account> {
    const known = this.#accounts.get(key);
    if (known !== undefined) return known;
    const signer = jwsSigner(key);
    const { newAccount: url } = await this.#session.directory(deadline);
    const payload = { termsOfServiceAgreed: true };
    const answer = await this.#session.post({ step: "newAccount", url, signer, payload }, deadline);
    const account = { signer, kid: locationOf(answer, "newAccount") };
    this.#accounts.set(key, account);
    return account;
  }

  /** newOrder … certificate (RFC 8555 §7.4): the PEM text as the server sent it. */
  async #issue(
    wanted: CertificateRequest,
    certified: Certified,
    account: Account,
    deadline: Deadline,
  ): Promise<string> {
    const { dns = [], ip = [], spiffeId } = wanted;
    const csr = encodeCsr({ ...certified, dns, ip, uri: [spiffeId] });
    const attesting = { ...account, session: this.#session, deadline, spki: certified.spki, ...wanted };
    const answer =
      (await this.#orderWithEvidence(wanted, csr, attesting)) ??
      (await this.#order(wanted, orderPayload(wanted), account, deadline));
    const url = locationOf(answer, "newOrder");
    let order = readOrder(answer);
    if (order.status === "valid" && order.certificateChain !== undefined) return order.certificateChain;
    if (order.status === "pending") {
      const onAccept = (accept: readonly Accept[]): void => this.#sources.remember(wanted, accept);
      for (const authorization of order.authorizations)
        await answerChallenge(authorization, { ...attesting, onAccept });
      // Every authorization is valid, so the order is ready (§7.1.6). Should the server think otherwise, it says so.
      order = { ...order, status: "ready" };
    }
    const { certificate } = await this.#finalize(order, url, csr, account, deadline);
    if (certificate === undefined) throw new ClientError("protocol", "the order is valid and names no certificate");
    const accept = "application/pem-certificate-chain";
    const issued = await this.#session.post({ step: "certificate", url: certificate, ...account, accept }, deadline);
    return issued.body.toString("latin1");
  }

  /**
   * newOrder with evidence and CSR; undefined where that cannot be, or what was remembered of the server's sources is not so any more. A
   * server that does not know these members answers with a `pending` order.
   */
  async #orderWithEvidence(
    wanted: CertificateRequest,
    csr: Buffer,
    attesting: Account & { readonly deadline: Deadline; readonly spki: Uint8Array },
  ): Promise<HttpsAnswer | undefined> {
    const { deadline } = attesting;
    const { inlineAudience: audience } = await this.#session.directory(deadline);
    const accept = this.#sources.of(wanted);
    if (audience === undefined || accept === undefined) return undefined;
    const payload = async (token: string): Promise<object> => {
      const response = await challengeResponse(
        { token, audience, accept },
        { ...attesting, ...wanted },
        wantsChallenge,
      );
      return { ...orderPayload(wanted), csr: csr.toString("base64url"), evidence: response.evidence };
    };
    try {
      return await this.#order(wanted, payload, attesting, deadline);
    } catch (error) {
      if (!this.#sources.isChallengeWanted(error, wanted)) throw error;
      return undefined;
    }
  }

  /** newOrder. That a predecessor is unknown, or replaced already, is no reason to have no certificate. */
  async #order(
    wanted: CertificateRequest,
    payload: object | ((nonce: string) => Promise<object>),
    { signer, kid }: Account,
    deadline: Deadline,
  ): Promise<HttpsAnswer> {
    const { newOrder: url, renewalInfo } = await this.#session.directory(deadline);
    const id =
      wanted.replaces === undefined || renewalInfo === undefined ? undefined : certificateIdOf(wanted.replaces);
    const post = (members: object): Promise<HttpsAnswer> => {
      const whole =
        typeof payload === "function"
          ? async (nonce: string) => ({ ...(await payload(nonce)), ...members })
          : { ...payload, ...members };
      return this.#session.post({ step: "newOrder", url, signer, kid, payload: whole }, deadline);
    };
    if (id === undefined) return await post({});
    try {
      return await post({ replaces: id });
    } catch (error) {
      if (error instanceof AcmeProblem && (error.is("alreadyReplaced") || error.is("malformed"))) return await post({});
      throw error;
    }
  }

  /** Drives the order to `valid`, wherever it stands (RFC 8555 §7.1.6). */
  async #finalize(first: Order, url: string, csr: Buffer, account: Account, deadline: Deadline): Promise<Order> {
    let order = first;
    let pauseMs: number | undefined;
    for (let round = 0; order.status !== "valid"; round += 1) {
      if (order.status === "invalid") throw new AcmeProblem("the order", order.error ?? unexplained);
      if (round > 0) await deadline.wait(pauseMs ?? backOffMs(round), `the order is still ${order.status}`);
      try {
        const answer: HttpsAnswer =
          order.status === "ready"
            ? await this.#session.post(
                { step: "finalize", url: order.finalize, ...account, payload: { csr: csr.toString("base64url") } },
                deadline,
              )
            : await this.#session.post({ step: "order", url, ...account }, deadline);
        order = readOrder(answer);
        pauseMs = retryAfterMs(answer, Date.now());
      } catch (error) {
        // §7.4: the order is in another state than we think; perhaps an earlier attempt arrived after all. So it is read.
        if (!(error instanceof AcmeProblem) || !error.is("orderNotReady")) throw error;
        order = { ...order, status: "processing" };
        pauseMs = undefined;
      }
    }
    return order;
  }

  #verified(pem: string, wanted: CertificateRequest, privateKey: KeyObject): IssuedCertificate {
    const { spiffeId, dns = [], ip = [] } = wanted;
    const { leaf, chain } = this.#verifyChain(pem, { privateKey, spiffeId, dns, ip, now: new Date() });
    return {
      privateKey,
      get privateKeyPem() {
        return privateKey.export({ type: "pkcs8", format: "pem" }).toString();
      },
      certificatePem: chain.join(""),
      chain,
      bundlePem: this.#bundlePem,
      leaf,
      notAfter: leaf.validToDate,
      serial: leaf.serialNumber.toLowerCase(),
    };
  }
}

const unexplained = { type: "about:blank", status: 0, detail: "the server gives no reason", subproblems: [] };

function orderPayload({ spiffeId, dns = [], ip = [], profile, delegation, notAfter }: CertificateRequest): object {
  return {
    identifiers: [
      { type: "uri", value: spiffeId },
      ...dns.map((value) => ({ type: "dns", value })),
      ...ip.map((value) => ({ type: "ip", value })),
    ],
    ...(profile === undefined ? {} : { profile }),
    ...(delegation === undefined ? {} : { delegation }),
    ...(notAfter === undefined ? {} : { notAfter: notAfter.toISOString() }),
  };
}

function locationOf(answer: HttpsAnswer, resource: string): string {
  const location = answer.header("location");
  if (location !== undefined) return location;
  throw new ClientError("protocol", `${resource} answered without a Location`);
}

function newP256Key(): KeyObject {
  return generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
}
