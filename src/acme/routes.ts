/** The ACME resources (RFC 8555 §7.1) as one table, and the few lines that put it on a server. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";

import { Problem, problem } from "../problem/problem.ts";
import { account, accountOrders } from "./account.ts";
import { certificate } from "./certificate.ts";
import { challenge } from "./challenge.ts";
import { allowAnyOrigin, answerPreflights } from "./crossOrigin.ts";
import { bodyTooLarge, KeySuperseded, type AcmeContext, type AcmeRequest } from "./context.ts";
import { directory, type DirectoryFacts } from "./directory.ts";
import { finalizeOrder } from "./finalizeOrder.ts";
import { keyChange } from "./keyChange.ts";
import { sourceAddress } from "./limits/sourceAddress.ts";
import { newAccount } from "./newAccount.ts";
import { newAuthz } from "./newAuthz.ts";
import { newOrder } from "./newOrder.ts";
import { authorization, readOrder } from "./order.ts";
import { verifyRequest, type PayloadRule, type SignedBy } from "./pipeline.ts";
import { renewalInfo } from "./renewalInfo.ts";
import { link, type Reply } from "./resources.ts";
import { revokeCertificate } from "./revokeCertificate.ts";
import type { AcmePaths } from "./urls.ts";

interface AcmeResource {
  /** The name of its path, see `acmePaths`. */
  readonly name: keyof AcmePaths;
  readonly by: SignedBy;
  readonly payload: PayloadRule;
  readonly answer: (request: AcmeRequest, context: AcmeContext) => Promise<Reply>;
  /** Octets, where this resource takes more than the others. */
  readonly bodyLimit?: number;
}

/** Evidence: 512 KiB, base64url twice. */
const evidenceBodyLimit = 1_048_576;

/** Every POST passes the same pipeline (pipeline.ts); a row says only what differs. Paths are in urls.ts. */
export const resources: readonly AcmeResource[] = [
  // name               signed by        payload            answered by
  { name: "newAccount", by: "jwk", payload: "object", answer: newAccount },
  { name: "newAuthz", by: "kid", payload: "object", answer: newAuthz },
  { name: "newOrder", by: "kid", payload: "object", answer: newOrder, bodyLimit: evidenceBodyLimit }, // Without evidence: the others' limit.
  { name: "account", by: "kid", payload: "any", answer: account },
  { name: "orders", by: "kid", payload: "none", answer: accountOrders },
  { name: "order", by: "kid", payload: "none", answer: readOrder },
  { name: "finalize", by: "kid", payload: "object", answer: finalizeOrder },
  { name: "authorization", by: "kid", payload: "any", answer: authorization },
  { name: "challenge", by: "kid", payload: "any", answer: challenge, bodyLimit: evidenceBodyLimit },
  { name: "certificate", by: "kid", payload: "none", answer: certificate },
  { name: "alternate", by: "kid", payload: "none", answer: certificate },
  { name: "revokeCert", by: "kid|jwk", payload: "object", answer: revokeCertificate },
  { name: "keyChange", by: "kid", payload: "object", answer: keyChange },
];

export interface AcmeRoutesOptions {
  readonly context: AcmeContext;
  readonly facts: DirectoryFacts;
  readonly paths: AcmePaths;
  /** Octets of a POST body; what may carry evidence has its own. */
  readonly bodyLimit: number;
}

/** A reply to these carries a nonce only where it is newNonce's. */
const safeMethods = new Set(["GET", "HEAD", "OPTIONS"]);

/** Mounts the resources below the prefix that the caller chose. */
export function acmeRoutes({ context, facts, paths, bodyLimit }: AcmeRoutesOptions) {
  return async function plugin(server: FastifyInstance): Promise<void> {
    const { nonces, urls } = context;
    const index = link(urls.directory, "index");
    const directoryPath = `${server.prefix}${paths.directory}`;

    // RFC 8555 §6.2: one media type; §6.5: a nonce with every reply to a POST, errors too.
    server.removeAllContentTypeParsers();
    server.addContentTypeParser("application/jose+json", { parseAs: "buffer" }, (_request, body, done) =>
      done(null, body),
    );
    server.addHook("onRequest", (request, reply, done) => {
      const { method } = request;
      reply.header("cache-control", "no-store");
      allowAnyOrigin(reply);
      if (request.routeOptions.url !== directoryPath) reply.header("link", index);
      if (!safeMethods.has(method)) reply.header("replay-nonce", nonces.issue());
      done(overRequests(request));
    });
    answerPreflights(server);

    const document = Buffer.from(JSON.stringify(directory(facts)));
    const sendDirectory = (reply: FastifyReply) => reply.header("content-type", "application/json").send(document);
    server.get(paths.directory, { exposeHeadRoute: true }, (_request, reply) => sendDirectory(reply));

    const sendNonce = (reply: FastifyReply, status: number) =>
      reply.code(status).header("replay-nonce", nonces.issue()).send();
    server.get(paths.newNonce, { exposeHeadRoute: false }, (_request, reply) => sendNonce(reply, 204)); // §7.2
    // A HEAD reply without a length makes clients give the connection up, and the next request pays for a TLS handshake.
    server.head(paths.newNonce, (_request, reply) => sendNonce(reply.header("content-length", "0"), 200));

    // RFC 9773 §4.1: for anybody, without a signature.
    server.get<{ Params: { certificateId: string } }>(`${paths.renewalInfo}/:certificateId`, async (request, reply) =>
      send(reply, await renewalInfo(request.params.certificateId, context)),
    );

    // §6.3: directory and newNonce may be asked by POST-as-GET as well.
    signed(server, {
      name: "directory",
      by: "kid|jwk",
      payload: "none",
      answer: async () => ({ status: 200, body: document }),
    });
    signed(server, {
      name: "newNonce",
      by: "kid|jwk",
      payload: "none",
      answer: async () => ({ status: 200, body: "" }),
    });
    for (const resource of resources) signed(server, resource);
    // The room's own, so that the headers above are on refusals of unknown paths and methods too; at the root there is one already.
    if (server.prefix !== "")
      server.setNotFoundHandler(async () => {
        throw problem("notFound", "there is no such resource");
      });
  };

  /** The refusal of a source address that asks for too much, before anything is read or verified. */
  function overRequests(request: FastifyRequest): Problem | undefined {
    try {
      context.rateLimits.spend([{ limit: "requestsPerAddress", key: sourceOf(request) }]);
      return undefined;
    } catch (error) {
      if (error instanceof Problem) return error;
      throw error;
    }
  }

  function signed(server: FastifyInstance, { name, by, payload, answer, ...resource }: AcmeResource): void {
    server.post(paths[name], { bodyLimit: resource.bodyLimit ?? bodyLimit }, async (request, reply) => {
      const body = bodyOf(request);
      const verified = await verifyRequest({ path: request.raw.url ?? "", body }, { by, payload }, context).catch(
        (error: unknown) => {
          // What cannot be read carries no evidence, and is held to the limit of what carries none.
          const isUnreadable = error instanceof Problem && error.code === "malformed";
          throw name === "newOrder" && body.length > bodyLimit && isUnreadable ? bodyTooLarge() : error;
        },
      );
      const parameters = request.params as Record<string, string>;
      const query = request.query as Record<string, unknown>;
      try {
        const { accept } = request.headers;
        return send(
          reply,
          await answer({ ...verified, parameters, query, accept, source: sourceOf(request) }, context),
        );
      } catch (error) {
        // The next request reads the account's present key.
        if (error instanceof KeySuperseded && verified.account !== undefined) context.keys.delete(verified.account.id);
        throw error;
      }
    });
  }
}

/** Behind a proxy that is not trusted this is the proxy. What a trusted one wrote that is no address counts as one source. */
const sourceOf = ({ ip }: FastifyRequest): string => sourceAddress(ip) ?? "unknown";

/** §6.2: exactly this media type; a parameter such as a charset makes it another one. */
function bodyOf(request: FastifyRequest): Buffer {
  const type = request.headers["content-type"]?.trim().toLowerCase();
  if (type !== "application/jose+json")
    throw problem("unsupportedMediaType", "the content type must be application/jose+json");
  if (!Buffer.isBuffer(request.body)) throw problem("malformed", "the body is empty");
  return request.body;
}

function send(reply: FastifyReply, { status, headers = {}, body, contentType }: Reply): FastifyReply {
  reply.code(status);
  for (const [name, value] of Object.entries(headers)) {
    // RFC 8555 §7.1: `index` stays beside the links that a resource adds.
    if (name === "link")
      reply.header(
        "link",
        [reply.getHeader("link"), value].flat().filter((item) => item !== undefined),
      );
    else reply.header(name, value);
  }
  if (body === undefined || body === "") return reply.send();
  reply.header("content-type", contentType ?? "application/json");
  // As octets: fastify would add a charset to a string, which some clients do not expect (RFC 8555 §6.1 names none).
  return reply.send(Buffer.isBuffer(body) ? body : Buffer.from(typeof body === "string" ? body : JSON.stringify(body)));
}
