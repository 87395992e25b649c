/**
 * The OCSP responder (RFC 6960, RFC 5019, RFC 9654): says `good` or `revoked` of certificates that this authority recorded, and nothing of any
 * other one. What it says is signed once and kept in the database; of a response that was asked for lately each process remembers the octets.
 */
import { isSerialNumber } from "../../x509/certificate.ts";
import { DerError } from "../../x509/der.ts";
import { readOcspRequest } from "../../x509/ocspRequest.ts";
import { type OcspError, ocspErrorResponses } from "../../x509/ocspResponse.ts";
import type { StoredResponse } from "../ocspPorts.ts";
import { type AnswerableIssuers, answerableIssuers } from "./answerableIssuers.ts";
import { createFairShare } from "./fairShare.ts";
import type { ResponseIssuer } from "./prepareResponse.ts";
import { createRememberedResponses, keyOfResponse } from "./rememberedResponses.ts";
import { type Asked, createResponseSource, type ResponseSourceParts } from "./responseSource.ts";

export interface OcspResponderParts extends ResponseSourceParts {
  /** Issuers whose keys are here and whose certificates count. */
  readonly issuers: () => readonly ResponseIssuer[];
  /** How far back revocations are looked for, each second: what a statement that revokes may take before it is committed, and more. */
  readonly lookBackSeconds: number;
  /** Octets of responses that are remembered. */
  readonly cacheBytes: number;
  /** Whether it may be over in a moment: the database or the token is away. */
  readonly isPassing: (error: unknown) => boolean;
}

/** What is sent back. */
export interface OcspAnswer {
  /** DER OCSPResponse. */
  readonly der: Buffer;
  readonly outcome: "good" | "revoked" | OcspError;
  /** Of a response that may be kept by whoever gets it; undefined for errors and for what answers a nonce. */
  readonly freshness: Omit<StoredResponse, "der"> | undefined;
}

export interface OcspResponder {
  /**
   * Answers one DER OCSPRequest; at once where the response is remembered.
   * @param issuerId of the URL; undefined where it names no issuer
   * @param client who asks, for a fair share of what is looked up at a time
   */
  answer(request: Uint8Array, issuerId?: string, client?: () => string): OcspAnswer | Promise<OcspAnswer>;
  /** Whether an issuer of this id is answered for. */
  knows(issuerId: string): boolean;
  /** Looks again which issuers there are, and forgets what was revoked since. Called each second. */
  catchUp(): Promise<void>;
  readonly remembered: () => number;
}

/** With more revocations than that all is forgotten. */
const revokedMax = 1_000;

/** Questions to the database at the same time; one more is told to try later. */
const lookupsMax = 1_000;

const failed = (outcome: OcspError): OcspAnswer => ({
  der: ocspErrorResponses[outcome],
  outcome,
  freshness: undefined,
});

export function createOcspResponder(parts: OcspResponderParts): OcspResponder {
  const { store, now } = parts;
  const memory = createRememberedResponses(parts.cacheBytes, now().getTime());
  const look = createLooks(parts, memory);
  let listed: readonly ResponseIssuer[] = parts.issuers();
  let issuers = answerableIssuers(listed);

  return {
    answer(request, issuerId, client = () => "") {
      const asked = readAsked(request, issuerId, issuers);
      if (typeof asked === "string") return failed(asked);
      const { nonce } = asked;
      if (nonce === undefined || parts.nonceBudget === undefined) return look.remembered(asked, client);
      return look.live(asked, nonce, client);
    },
    knows: (issuerId) => issuers.has(issuerId),
    remembered: memory.size,
    async catchUp() {
      const present = parts.issuers();
      if (present.length !== listed.length || present.some((issuer, index) => issuer !== listed[index])) {
        issuers = answerableIssuers(present);
        listed = present;
      }
      const startedMs = now().getTime();
      const revoked = await store.revokedLately(parts.lookBackSeconds, revokedMax);
      memory.heard(revoked.length >= revokedMax ? "all" : revoked, startedMs);
    },
  };
}

/** What a request asks, or why nothing is said. */
function readAsked(
  request: Uint8Array,
  issuerId: string | undefined,
  issuers: AnswerableIssuers,
): (Asked & { readonly nonce: Buffer | undefined }) | OcspError {
  let read: ReturnType<typeof readOcspRequest>;
  try {
    read = readOcspRequest(request);
  } catch (error) {
    if (error instanceof DerError) return "malformedRequest";
    throw error;
  }
  const [certId, ...more] = read.certIds;
  // RFC 5019 §2.1.1: one certificate to a request. What is signed ahead speaks of one, and half an answer would be none.
  if (certId === undefined || more.length > 0) return "unauthorized";
  const meant = issuers.meantBy(certId);
  if (meant === undefined || (issuerId !== undefined && !meant.has(issuerId))) return "unauthorized";
  if (certId.hash === undefined || !isSerialNumber(certId.serialNumber)) return "unauthorized";
  return { serial: certId.serialNumber, hash: certId.hash, meant, nonce: read.nonce };
}

/** Answers that need the database, and perhaps a signature: so many at a time, and no client has more of them than there is room left. */
function createLooks(parts: OcspResponderParts, memory: ReturnType<typeof createRememberedResponses>) {
  const source = createResponseSource(parts);
  const share = createFairShare(lookupsMax);
  const underWay = new Map<string, Promise<OcspAnswer>>();

  async function guarded<T>(client: string, run: () => Promise<T>): Promise<T | OcspAnswer> {
    try {
      const running = share.run(client, run);
      return running === undefined ? failed("tryLater") : await running;
    } catch (error) {
      parts.onTrouble(error);
      return failed(parts.isPassing(error) ? "tryLater" : "internalError");
    }
  }

  async function looked(asked: Asked, key: string): Promise<OcspAnswer> {
    const found = await source.read(asked);
    return typeof found === "string" ? failed(found) : memory.keep(key, found.status, found.response, found.at);
  }

  function remembered(asked: Asked, client: () => string): OcspAnswer | Promise<OcspAnswer> {
    const key = keyOfResponse(asked);
    const known = memory.get(key, parts.now().getTime());
    if (known !== undefined) return asked.meant.has(known.issuerId) ? known.answer : failed("unauthorized");
    // Many may ask for one at the same moment: one looks it up, with room or without. Who asks about another issuer's gets another answer.
    const mark = [key, ...asked.meant.keys()].join(" ");
    const running = underWay.get(mark);
    if (running !== undefined) return running;
    const run = guarded(client(), () => looked(asked, key)).finally(() => underWay.delete(mark));
    underWay.set(mark, run);
    return run;
  }

  /** RFC 9654: a response for this request alone, while there are signatures for it; else the one without a nonce, which it allows. */
  async function live(asked: Asked, nonce: Buffer, client: () => string): Promise<OcspAnswer> {
    const answer = await guarded(client(), async () => {
      const made = await source.live(asked, nonce);
      if (made === undefined || made === "unauthorized") return made && failed(made);
      return { der: made.der, outcome: made.revoked ? "revoked" : "good", freshness: undefined } as const;
    });
    return answer ?? (await remembered(asked, client));
  }

  return { remembered, live };
}
