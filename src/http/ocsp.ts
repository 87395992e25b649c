/**
 * OCSP over HTTP (RFC 6960 appendix A.1, RFC 5019 §5 and §6): POST and GET, at one path for all issuers and at one for each. What is wrong with a
 * request is said in OCSP's own words and with status 200, as its clients expect; HTTP's errors are for what never was a request.
 */
import { createHash } from "node:crypto";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";

import { problem } from "../problem/problem.ts";

/** Who answers. */
export interface OcspAnswering {
  /** At once where it can. Does not throw for anything that a request may hold. */
  answer(request: Uint8Array, issuerId: string | undefined, address: string): OcspReply | Promise<OcspReply>;
  /** Whether there is an issuer of this id to answer for. */
  knows(issuerId: string): boolean;
}

export interface OcspReply {
  /** DER OCSPResponse; the same Buffer for as long as it is the same response. */
  readonly der: Buffer;
  readonly outcome: string;
  /** Undefined where no cache may keep it. */
  readonly freshness: { readonly thisUpdate: Date; readonly nextUpdate: Date; readonly refreshAt: Date } | undefined;
}

export interface OcspRoutesOptions {
  readonly responder: OcspAnswering;
  readonly now: () => Date;
  /** How long a cache may keep a response that was asked for by GET. */
  readonly cacheSeconds: number;
  readonly onAnswered: (outcome: string, method: string) => void;
}

/** Octets of a request: one that is signed and has its certificates with it has a few thousand. */
const requestOctetsMax = 16_384;

const requestType = "application/ocsp-request";
const responseType = "application/ocsp-response";

/** Seconds after which whoever was told to try later may. */
const tryLaterSeconds = 5;

/** A path below /ocsp: perhaps the id of an issuer, perhaps a request. No base64 has the dashes of an id. */
const belowOcsp = /^\/ocsp(?:\/+([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?=\/|$))?\/*(.*)$/s;

export function ocspRoutes({ responder, now, cacheSeconds, onAnswered }: OcspRoutesOptions) {
  return async function plugin(server: FastifyInstance): Promise<void> {
    server.removeAllContentTypeParsers();
    server.addContentTypeParser(requestType, { parseAs: "buffer" }, (_request, body, done) => done(null, body));

    function post(request: FastifyRequest, reply: FastifyReply): FastifyReply | Promise<FastifyReply> {
      const [, issuerId] = pathOf(request);
      if (!Buffer.isBuffer(request.body))
        throw problem("unsupportedMediaType", `the content type must be ${requestType}`);
      return answer(request.body, issuerId, request, reply, sendUncached);
    }

    function get(request: FastifyRequest, reply: FastifyReply): FastifyReply | Promise<FastifyReply> {
      const [, issuerId, text = ""] = pathOf(request);
      // What is not base64 has no octets, and no octets are a malformed request.
      return answer(octetsOf(text) ?? Buffer.alloc(0), issuerId, request, reply, sendCached);
    }

    function answer(
      octets: Buffer,
      issuerId: string | undefined,
      request: FastifyRequest,
      reply: FastifyReply,
      send: (said: OcspReply, request: FastifyRequest, reply: FastifyReply) => FastifyReply,
    ): FastifyReply | Promise<FastifyReply> {
      if (issuerId !== undefined && !responder.knows(issuerId)) throw problem("notFound", "there is no such issuer");
      const sent = (said: OcspReply): FastifyReply => {
        onAnswered(said.outcome, request.method);
        return send(said, request, reply.header("content-type", responseType));
      };
      const said = responder.answer(octets, issuerId, request.ip);
      return said instanceof Promise ? said.then(sent) : sent(said);
    }

    /** RFC 5019 §6.2. Errors are not kept: what is not known now may be in a second. */
    function sendCached(said: OcspReply, request: FastifyRequest, reply: FastifyReply): FastifyReply {
      if (said.freshness === undefined) return sendUncached(said, request, reply);
      const { etag, lastModified, expires } = validatorsOf(said);
      const left = Math.floor((said.freshness.refreshAt.getTime() - now().getTime()) / 1000);
      const seconds = Math.max(0, Math.min(cacheSeconds, left));
      reply
        .header("cache-control", `max-age=${seconds}, public, no-transform, must-revalidate`)
        .header("etag", etag)
        .header("last-modified", lastModified)
        .header("expires", expires);
      if (holdsTag(request.headers["if-none-match"], etag)) return reply.removeHeader("content-type").code(304).send();
      return reply.send(said.der);
    }

    function sendUncached({ der, outcome }: OcspReply, _request: FastifyRequest, reply: FastifyReply): FastifyReply {
      if (outcome === "tryLater") reply.header("retry-after", String(tryLaterSeconds));
      return reply.header("cache-control", "no-store").send(der);
    }

    const options = { bodyLimit: requestOctetsMax };
    server.post("/ocsp", options, post);
    server.post("/ocsp/*", options, post);
    server.get("/ocsp/*", get);
  };
}

const pathOf = ({ url }: FastifyRequest): readonly (string | undefined)[] =>
  belowOcsp.exec(url.split("?", 1)[0] ?? "") ?? [];

/**
 * The request in a path: base64, then URL-encoded (RFC 6960 appendix A.1.1). Clients leave `/` and `+` and `=` as they are, or padding away,
 * and what decodes a path on the way may have made a `+` a space.
 */
function octetsOf(text: string): Buffer | undefined {
  if (text.length > 4 * requestOctetsMax) return undefined;
  let base64: string;
  try {
    base64 = decodeURIComponent(text).replaceAll(" ", "+");
  } catch {
    return undefined;
  }
  return /^[A-Za-z0-9+/]+={0,2}$/.test(base64) ? Buffer.from(base64, "base64") : undefined;
}

interface Validators {
  readonly etag: string;
  readonly lastModified: string;
  readonly expires: string;
}

/** Made once for each response that is sent again and again. */
const validators = new WeakMap<Buffer, Validators>();

function validatorsOf({ der, freshness }: OcspReply): Validators {
  const known = validators.get(der);
  if (known !== undefined) return known;
  const made = {
    etag: `"${createHash("sha256").update(der).digest("hex")}"`,
    lastModified: freshness?.thisUpdate.toUTCString() ?? "",
    // Another response is there by then; this one still counts.
    expires: freshness?.refreshAt.toUTCString() ?? "",
  };
  validators.set(der, made);
  return made;
}

/** RFC 9110 §13.1.2: weak comparison. */
const holdsTag = (header: string | undefined, etag: string): boolean =>
  header !== undefined &&
  (header.trim() === "*" || header.split(",").some((one) => one.trim().replace(/^W\//, "") === etag));
