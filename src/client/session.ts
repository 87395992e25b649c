/**
 * Signed requests to one ACME server (RFC 8555 §6): its directory, its nonces, and the patience to try again.
 */
import { backOffMs, type Deadline } from "./deadline.ts";
import { AcmeProblem, ClientError } from "./errors.ts";
import type { HttpsAnswer, HttpsExchange, HttpsTransport } from "./http.ts";
import type { JwsSigner } from "./jws.ts";
import { type Directory, readDirectory, readProblem, retryAfterMs } from "./resources.ts";

/** The steps of an issuance, as reported to an observer. */
export type Step =
  | "directory"
  | "newNonce"
  | "newAccount"
  | "newOrder"
  | "authorization"
  | "challenge"
  | "order"
  | "finalize"
  | "certificate"
  | "renewalInfo";

/** One request that was answered, for whoever measures. */
export interface ObservedExchange {
  readonly step: Step;
  readonly status: number;
  readonly milliseconds: number;
}

/** What to post, and as whom: an account (`kid`) or a key that has none yet. */
export interface SignedRequest {
  readonly step: Step;
  readonly url: string;
  readonly signer: JwsSigner;
  /** The account URL. Absent only in newAccount. */
  readonly kid?: string;
  /** Absent: POST-as-GET (RFC 8555 §6.3). Made anew for each attempt where it depends on the nonce. */
  readonly payload?: object | ((nonce: string) => Promise<object>);
  readonly accept?: string;
}

export interface AcmeSession {
  /** An unsigned GET, with the same patience. */
  get(step: Step, url: string, deadline: Deadline): Promise<HttpsAnswer>;
  /** Fetched once, then remembered. */
  directory(deadline: Deadline): Promise<Directory>;
  /**
   * Posts until the server has decided: a bad nonce is replaced, a busy server (429, 503) is given the time it asks for.
   * @throws {AcmeProblem} the server refused · {ClientError} network · tls · protocol · timeout · aborted
   */
  post(request: SignedRequest, deadline: Deadline): Promise<HttpsAnswer>;
}

const badNoncesMax = 3;
const noncesKeptMax = 64;

/** @param known the directory, where it was fetched before; it changes as rarely as the server does */
export function acmeSession(
  directoryUrl: string,
  transport: HttpsTransport,
  observe: (exchange: ObservedExchange) => void,
  known?: Directory,
): AcmeSession {
  /** Newest last and used first: nonces grow old. */
  let nonces: string[] = [];

  /** One answer that is no refusal. `prepare` runs for each attempt, because a JWS is good for one. */
  const exchange = async (
    step: Step,
    prepare: () => Promise<Omit<HttpsExchange, "signal">>,
    deadline: Deadline,
  ): Promise<HttpsAnswer> => {
    let badNonces = 0;
    for (let attempt = 1; ; attempt += 1) {
      const prepared = await prepare();
      deadline.waitingFor("the server does not answer");
      const startedAt = performance.now();
      const answer = await transport.send({ ...prepared, signal: deadline.signal });
      observe({ step, status: answer.status, milliseconds: performance.now() - startedAt });
      const nonce = answer.header("replay-nonce");
      if (answer.status < 300) {
        if (nonce !== undefined && nonces.length < noncesKeptMax) nonces.push(nonce);
        return answer;
      }

      const problem = new AcmeProblem(refusedThing[step], readProblem(answer));
      // §6.5: the refusal brings a nonce. The others are as old as the bad one, so they go.
      if (problem.is("badNonce")) nonces = [];
      if (nonce !== undefined) nonces.push(nonce);
      if (problem.is("badNonce") && badNonces < badNoncesMax) {
        badNonces += 1;
        continue;
      }
      const pauseMs = busyPauseMs(answer, attempt);
      if (pauseMs === undefined || !deadline.allows(pauseMs)) throw problem;
      await deadline.wait(pauseMs, problem.message);
    }
  };

  const directory = async (deadline: Deadline): Promise<Directory> =>
    (known ??= readDirectory(
      await exchange("directory", async () => ({ method: "GET", url: directoryUrl }), deadline),
    ));

  const takeNonce = async (deadline: Deadline): Promise<string> => {
    const kept = nonces.pop();
    if (kept !== undefined) return kept;
    const { newNonce } = await directory(deadline);
    await exchange("newNonce", async () => ({ method: "HEAD", url: newNonce }), deadline);
    const fresh = nonces.pop();
    if (fresh !== undefined) return fresh;
    throw new ClientError("protocol", "newNonce answered without a Replay-Nonce");
  };

  return {
    directory,
    get: (step, url, deadline) => exchange(step, async () => ({ method: "GET", url }), deadline),
    post({ step, url, signer, kid, payload, accept }, deadline) {
      const prepare = async (): Promise<Omit<HttpsExchange, "signal">> => {
        const nonce = await takeNonce(deadline);
        const header = kid === undefined ? { nonce, url } : { kid, nonce, url };
        return {
          method: "POST",
          url,
          headers: { "Content-Type": "application/jose+json", Accept: accept ?? "application/json" },
          body: signer.sign(header, typeof payload === "function" ? await payload(nonce) : payload),
        };
      };
      return exchange(step, prepare, deadline);
    },
  };
}

/** How long to leave a busy server alone; undefined when it is not busy, or gives a rate limit no end. */
function busyPauseMs(answer: HttpsAnswer, attempt: number): number | undefined {
  const asked = retryAfterMs(answer, Date.now());
  if (answer.status === 429) return asked;
  if (answer.status === 503) return asked ?? backOffMs(attempt);
  return undefined;
}

/** For "the server refused …". */
const refusedThing: Readonly<Record<Step, string>> = {
  directory: "the directory",
  newNonce: "a nonce",
  newAccount: "the account",
  newOrder: "the order",
  authorization: "to show the authorization",
  challenge: "the evidence",
  order: "to show the order",
  finalize: "to finalize the order",
  certificate: "to hand out the certificate",
  renewalInfo: "to say when to renew",
};
