/**
 * The OCSP responder (RFC 6960, RFC 5019, RFC 9654): says `good` or `revoked` of certificates that this authority recorded, and nothing of any
 * other one. What it says is signed once and kept in the database; of a response that was asked for lately each process remembers the octets.
 */
import { createLru } from "../../cache/lru.ts";
import { isSerialNumber } from "../../x509/certificate.ts";
import { DerError } from "../../x509/der.ts";
import { type CertIdHash, readOcspRequest } from "../../x509/ocspRequest.ts";
import { type OcspError, ocspErrorResponses } from "../../x509/ocspResponse.ts";
import type { OcspResponseStore, RecordedStatus, StoredResponse } from "../ocspPorts.ts";
import { answerableIssuers, type Meant } from "./answerableIssuers.ts";
import type { ResponseIssuer } from "./prepareResponse.ts";
import type { SignatureBudget } from "./signatureBudget.ts";
import { signResponse } from "./signResponse.ts";

export interface OcspResponderParts {
  readonly store: OcspResponseStore;
  /** Issuers whose keys are here and whose certificates count. */
  readonly issuers: () => readonly ResponseIssuer[];
  readonly now: () => Date;
  readonly lifetimeSeconds: number;
  /** How far back revocations are looked for, each second: what a statement that revokes may take before it is committed, and more. */
  readonly lookBackSeconds: number;
  /** Octets of responses that are remembered. */
  readonly cacheBytes: number;
  /** Whether a request with a nonce gets a response of its own. */
  readonly answersNonces: boolean;
  readonly budget: SignatureBudget;
  /** Whether it may be over in a moment: the database or the token is away. */
  readonly isPassing: (error: unknown) => boolean;
  readonly onSigned: (why: "asked" | "nonce") => void;
  readonly onTrouble: (error: unknown) => void;
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
   */
  answer(request: Uint8Array, issuerId?: string): OcspAnswer | Promise<OcspAnswer>;
  /** Whether an issuer of this id is answered for. */
  knows(issuerId: string): boolean;
  /** Looks again which issuers there are, and forgets what was revoked since. Called each second. */
  catchUp(): Promise<void>;
  readonly remembered: () => number;
}

/** Nothing that is remembered counts any more where `catchUp` has not come through for so long: the database is away. */
const trustedMs = 30_000;
/** And no response counts longer than that without a look at the database: in case a revocation took longer than any is let. */
const rememberedMs = 300_000;
/** One that is due for another is looked up again soon: the other one may be there. */
const dueMs = 5_000;

/** With more revocations than that all is forgotten. */
const revokedMax = 1_000;

/** Questions to the database at the same time; one more is told to try later. */
const lookupsMax = 1_000;

/** Octets of a remembered response beside its DER: keys, dates and the map's own. */
const overheadBytes = 400;

/** A response may be overtaken, by a revocation or another process, so often. */
const rounds = 3;

/** So far a clock may be put back with nothing made anew: beyond that, what it said before is from the future. */
const putBackMs = 60_000;

const isBetween = (nowMs: number, sinceMs: number, untilMs: number): boolean =>
  nowMs >= sinceMs - putBackMs && nowMs < untilMs;

interface Remembered {
  readonly answer: OcspAnswer;
  readonly issuerId: string;
  readonly sinceMs: number;
  readonly untilMs: number;
}

const failed = (outcome: OcspError): OcspAnswer => ({
  der: ocspErrorResponses[outcome],
  outcome,
  freshness: undefined,
});

export function createOcspResponder(parts: OcspResponderParts): OcspResponder {
  const { store, now, budget, lifetimeSeconds } = parts;
  const memory = createLru<string, Remembered>(parts.cacheBytes, (kept) => kept.answer.der.length + overheadBytes);
  const underWay = new Map<string, Promise<OcspAnswer>>();
  let listed: readonly ResponseIssuer[] = parts.issuers();
  let issuers = answerableIssuers(listed);
  let caughtUpMs = now().getTime();
  let lookups = 0;

  function answer(request: Uint8Array, issuerId?: string): OcspAnswer | Promise<OcspAnswer> {
    let read: ReturnType<typeof readOcspRequest>;
    try {
      read = readOcspRequest(request);
    } catch (error) {
      if (error instanceof DerError) return failed("malformedRequest");
      throw error;
    }
    const [certId, ...more] = read.certIds;
    // RFC 5019 §2.1.1: one certificate to a request. What is signed ahead speaks of one, and half an answer would be none.
    if (certId === undefined || more.length > 0) return failed("unauthorized");
    const meant = issuers.meantBy(certId);
    if (meant === undefined || (issuerId !== undefined && !meant.has(issuerId))) return failed("unauthorized");
    if (certId.hash === undefined || !isSerialNumber(certId.serialNumber)) return failed("unauthorized");
    const asked = { serial: certId.serialNumber, hash: certId.hash, meant };
    if (parts.answersNonces && read.nonce !== undefined) return guarded(() => live(asked, read.nonce));
    return remembered(asked);
  }

  function remembered(asked: Asked): OcspAnswer | Promise<OcspAnswer> {
    const key = keyOf(asked);
    const known = memory.get(key);
    const nowMs = now().getTime();
    if (
      known !== undefined &&
      isBetween(nowMs, known.sinceMs, known.untilMs) &&
      isBetween(nowMs, caughtUpMs, caughtUpMs + trustedMs)
    )
      return asked.meant.has(known.issuerId) ? known.answer : failed("unauthorized");
    // Many may ask for one at the same moment: one looks it up, with room or without. Who asks about another issuer's gets another answer.
    const mark = [key, ...asked.meant.keys()].join(" ");
    const running = underWay.get(mark);
    if (running !== undefined) return running;
    const run = guarded(() => looked(asked, key)).finally(() => underWay.delete(mark));
    underWay.set(mark, run);
    return run;
  }

  async function guarded(run: () => Promise<OcspAnswer>): Promise<OcspAnswer> {
    if (lookups >= lookupsMax) return failed("tryLater");
    lookups++;
    try {
      return await run();
    } catch (error) {
      parts.onTrouble(error);
      return failed(parts.isPassing(error) ? "tryLater" : "internalError");
    } finally {
      lookups--;
    }
  }

  /** The response of the database, or one that is made now and kept there. */
  async function looked(asked: Asked, key: string): Promise<OcspAnswer> {
    for (let round = 0; round < rounds; round++) {
      const at = now();
      const found = await find(asked, at);
      if (found === undefined) return failed("unauthorized");
      const { response } = found.status;
      if (response !== undefined && response.refreshAt > at) return remember(key, found, response, at);
      const made = await madeNow(asked, found, at, response);
      if (made !== undefined) return made === "tryLater" ? failed(made) : remember(key, found, made, at);
    }
    return failed("tryLater");
  }

  /** Undefined where somebody else was faster, or the certificate was revoked meanwhile. */
  async function madeNow(
    asked: Asked,
    { issuer, status }: Found,
    at: Date,
    standing: StoredResponse | undefined,
  ): Promise<StoredResponse | "tryLater" | undefined> {
    const signing = budget.take(at.getTime(), () =>
      signResponse({ ...asked, ...status, issuer, nonce: undefined }, at, lifetimeSeconds),
    );
    // One that is due for another still counts.
    if (signing === undefined) return standing ?? "tryLater";
    try {
      const response = await signing;
      parts.onSigned("asked");
      return (await store.keep(response, at)) ? response : undefined;
    } catch (error) {
      if (standing === undefined) throw error;
      parts.onTrouble(error);
      return standing;
    }
  }

  /** RFC 9654: a response for this request alone, while there are signatures for it; else the one without a nonce, which it allows. */
  async function live(asked: Asked, nonce: Buffer | undefined): Promise<OcspAnswer> {
    const at = now();
    const found = await find(asked, at);
    if (found === undefined) return failed("unauthorized");
    const { issuer, status } = found;
    const signing = budget.take(at.getTime(), () =>
      signResponse({ ...asked, ...status, issuer, nonce }, at, lifetimeSeconds),
    );
    if (signing === undefined) return await remembered(asked);
    const { der, revoked } = await signing;
    parts.onSigned("nonce");
    return { der, outcome: revoked ? "revoked" : "good", freshness: undefined };
  }

  /** Undefined for what is not ours, not this issuer's, or expired. */
  async function find({ serial, hash, meant }: Asked, at: Date): Promise<Found | undefined> {
    const status = await store.find(serial, hash, at);
    const issuer = status && meant.get(status.issuerId);
    return issuer === undefined || status === undefined || status.notAfter < at ? undefined : { issuer, status };
  }

  function remember(key: string, { status }: Found, response: StoredResponse, at: Date): OcspAnswer {
    const { der, ...freshness } = response;
    const kept: OcspAnswer = { der, outcome: status.revocation === null ? "good" : "revoked", freshness };
    const atMs = at.getTime();
    // When another one is due all processes look for it at the same time, so that they go on saying the same.
    const dueAtMs = response.refreshAt > at ? response.refreshAt.getTime() : atMs + dueMs;
    const lastMs = Math.min(status.notAfter.getTime() + 1, response.nextUpdate.getTime());
    const untilMs = Math.min(atMs + rememberedMs, dueAtMs, lastMs);
    memory.set(key, { answer: kept, issuerId: status.issuerId, sinceMs: atMs, untilMs });
    return kept;
  }

  return {
    answer,
    knows: (issuerId) => issuers.has(issuerId),
    remembered: () => memory.size,
    async catchUp() {
      const present = parts.issuers();
      if (present.length !== listed.length || present.some((issuer, index) => issuer !== listed[index])) {
        issuers = answerableIssuers(present);
        listed = present;
      }
      const startedMs = now().getTime();
      const revoked = await store.revokedLately(parts.lookBackSeconds, revokedMax);
      if (revoked.length >= revokedMax) memory.clear();
      for (const serial of revoked)
        for (const hash of ["sha1", "sha256"] as const) memory.delete(keyOf({ serial, hash }));
      caughtUpMs = startedMs;
    },
  };
}

/** One certificate that is asked about. */
interface Asked {
  readonly serial: Buffer;
  readonly hash: CertIdHash;
  readonly meant: Meant;
}

interface Found {
  readonly issuer: ResponseIssuer;
  readonly status: RecordedStatus;
}

const keyOf = ({ serial, hash }: Pick<Asked, "serial" | "hash">): string => hash + serial.toString("latin1");
