/**
 * Where an OCSP response comes from that is not remembered: the database, or the issuer's key, and then it is kept in the database for all processes.
 */
import type { OcspResponseStore, RecordedStatus, StoredResponse } from "../ocspPorts.ts";
import type { Meant } from "./answerableIssuers.ts";
import type { ResponseIssuer } from "./prepareResponse.ts";
import type { ResponseKey } from "./rememberedResponses.ts";
import type { SignatureBudget } from "./signatureBudget.ts";
import { signResponse } from "./signResponse.ts";

export interface ResponseSourceParts {
  readonly store: OcspResponseStore;
  readonly now: () => Date;
  readonly lifetimeSeconds: number;
  readonly budget: SignatureBudget;
  /** Of responses to one request alone, whose nonce they have; undefined where nonces are ignored. */
  readonly nonceBudget: SignatureBudget | undefined;
  readonly onSigned: (why: "asked" | "nonce") => void;
  readonly onTrouble: (error: unknown) => void;
}

/** One certificate that is asked about. */
export interface Asked extends ResponseKey {
  readonly meant: Meant;
}

/** A response, and what it was made from; or why there is none. */
export type Sourced =
  | { readonly status: RecordedStatus; readonly response: StoredResponse; readonly at: Date }
  | "unauthorized"
  | "tryLater";

export interface ResponseSource {
  /** The response of the database, or one that is made now and kept there. */
  read(asked: Asked): Promise<Sourced>;
  /** RFC 9654: a response for this request alone, kept nowhere. Undefined where there are no signatures left for it. */
  live(asked: Asked, nonce: Buffer): Promise<{ der: Buffer; revoked: boolean } | "unauthorized" | undefined>;
}

/** A response may be overtaken, by a revocation or another process, so often. */
const rounds = 3;

interface Found {
  readonly issuer: ResponseIssuer;
  readonly status: RecordedStatus;
}

export function createResponseSource(parts: ResponseSourceParts): ResponseSource {
  const { store, now, budget, nonceBudget, lifetimeSeconds } = parts;

  /** Undefined for what is not ours, not this issuer's, or expired. */
  async function find({ serial, hash, meant }: Asked, at: Date): Promise<Found | undefined> {
    const status = await store.find(serial, hash, at);
    const issuer = status && meant.get(status.issuerId);
    return issuer === undefined || status === undefined || status.notAfter < at ? undefined : { issuer, status };
  }

  /** Undefined where somebody else was faster, or the certificate was revoked meanwhile. */
  async function made(asked: Asked, { issuer, status }: Found, at: Date): Promise<StoredResponse | "none" | undefined> {
    const standing = status.response;
    const signing = budget.take(at.getTime(), () =>
      signResponse({ ...asked, ...status, issuer, nonce: undefined }, at, lifetimeSeconds),
    );
    // One that is due for another still counts.
    if (signing === undefined) return standing ?? "none";
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

  return {
    async read(asked) {
      for (let round = 0; round < rounds; round++) {
        const at = now();
        const found = await find(asked, at);
        if (found === undefined) return "unauthorized";
        const { status } = found;
        const { response } = status;
        if (response !== undefined && response.refreshAt > at) return { status, response, at };
        const fresh = await made(asked, found, at);
        if (fresh !== undefined) return fresh === "none" ? "tryLater" : { status, response: fresh, at };
      }
      return "tryLater";
    },
    async live(asked, nonce) {
      const at = now();
      const found = await find(asked, at);
      if (found === undefined) return "unauthorized";
      const { issuer, status } = found;
      const signing = nonceBudget?.take(at.getTime(), () =>
        signResponse({ ...asked, ...status, issuer, nonce }, at, lifetimeSeconds),
      );
      if (signing === undefined) return undefined;
      const response = await signing;
      parts.onSigned("nonce");
      return response;
    },
  };
}
