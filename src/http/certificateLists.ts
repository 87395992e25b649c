/**
 * Revocation lists for relying parties: `/crl/<issuer>/<shard>.crl`, the URLs in certificates (RFC 5280 §4.2.1.13, RFC 2585 §3), with the
 * validators and lifetimes that caches go by (RFC 9110 §8.8 and §13, RFC 9111).
 */
import { finished } from "node:stream";
import type { FastifyInstance, FastifyReply } from "fastify";

import { problem } from "../problem/problem.ts";

/** What of a list its headers are made from. */
export interface ListFacts {
  readonly thisUpdate: Date;
  readonly nextUpdate: Date;
  /** Of its DER. */
  readonly sha256: Buffer;
  readonly size: number;
}

export interface CertificateListRoutesOptions {
  /** The list that stands; `none` where it is still to be made, and undefined where no certificate names such a list. */
  readonly find: (issuerId: string, shard: number) => Promise<ListFacts | "none" | undefined>;
  /**
   * With its octets, which are there until they are released; `busy` where there is no room for more that are sent.
   * @param end ends the sending, where it is slow and others need the room
   */
  readonly read: (issuerId: string, shard: number, end: () => void) => Promise<LentList | "busy" | undefined>;
  /** How long caches may keep a list without asking again, and never beyond its nextUpdate. */
  readonly cacheSeconds: number;
  readonly now: () => Date;
  /** How long whoever asked may take over a list; milliseconds. */
  readonly sendingMs?: (octets: number) => number;
}

/** A minute, and 64 KiB a second: each list that is being sent stays in memory, also when there is a newer one. */
const sendingMsDefault = (octets: number): number => 60_000 + octets / 65.536;

export interface LentList {
  readonly list: ListFacts;
  readonly der: Buffer;
  readonly release: () => void;
}

/** How soon whoever asked for a list that is still to be made, or has no room, comes again; seconds. */
const retryAfterSeconds = 5;

export function certificateListRoutes(options: CertificateListRoutesOptions) {
  return async function plugin(server: FastifyInstance): Promise<void> {
    server.get<{ Params: { issuer: string; file: string } }>("/crl/:issuer/:file", async (request, reply) => {
      const place = placeOf(request.params);
      const standing = place && (await options.find(place.issuerId, place.shard));
      if (place === undefined || standing === undefined) throw problem("notFound", "there is no such revocation list");
      const { "if-none-match": tags, "if-modified-since": since } = request.headers;
      if (standing !== "none" && isUnchanged(standing, tags, since)) {
        setHeaders(reply, standing, options);
        return reply.code(304).send();
      }
      const found = await options.read(place.issuerId, place.shard, () => reply.raw.destroy());
      if (found === "busy")
        throw problem("unavailable", "too many revocation lists are being sent right now", { retryAfterSeconds });
      if (found === undefined)
        throw problem("unavailable", "this revocation list is not made yet", { retryAfterSeconds });
      finished(reply.raw, found.release);
      setHeaders(reply, found.list, options);
      endIfSlow(reply, (options.sendingMs ?? sendingMsDefault)(found.der.length));
      return reply.header("content-type", "application/pkix-crl").send(found.der);
    });
  };
}

function placeOf({ issuer, file }: { issuer: string; file: string }): { issuerId: string; shard: number } | undefined {
  const shard = /^(0|[1-9][0-9]{0,2})\.crl$/.exec(file)?.[1];
  if (shard === undefined || !/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(issuer)) return undefined;
  return { issuerId: issuer, shard: Number(shard) };
}

function endIfSlow({ raw }: FastifyReply, milliseconds: number): void {
  const late = setTimeout(() => raw.destroy(), milliseconds).unref();
  raw.once("close", () => clearTimeout(late));
}

const tagOf = ({ sha256 }: ListFacts): string => `"${sha256.toString("hex")}"`;

function setHeaders(reply: FastifyReply, list: ListFacts, { cacheSeconds, now }: CertificateListRoutesOptions): void {
  const at = now().getTime();
  const left = Math.floor((list.nextUpdate.getTime() - at) / 1000);
  const age = Math.max(0, Math.min(cacheSeconds, left));
  reply
    .header("etag", tagOf(list))
    .header("last-modified", list.thisUpdate.toUTCString())
    .header("cache-control", age === 0 ? "no-cache" : `public, max-age=${age}`)
    .header("expires", new Date(at + age * 1000).toUTCString())
    .header("access-control-allow-origin", "*");
}

/** RFC 9110 §13.2.2: the tags decide where there are some, else the time. */
function isUnchanged(list: ListFacts, tags: string | undefined, since: string | undefined): boolean {
  if (tags !== undefined) {
    if (tags.trim() === "*") return true;
    return tags.split(",").some((tag) => tag.trim().replace(/^W\//, "") === tagOf(list));
  }
  // What is no date is not looked at (§13.1.3).
  return since !== undefined && Date.parse(since) >= list.thisUpdate.getTime();
}
