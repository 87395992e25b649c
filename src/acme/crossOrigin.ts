/**
 * CORS for browser clients (RFC 8555 §6.1; Fetch standard). The resources know no cookies and no other ambient authority: every request
 * is signed, so any origin may read what it was able to ask for.
 */
import type { FastifyInstance, FastifyReply } from "fastify";

/** What a script may read beside the body. */
const exposed = "Link, Location, Replay-Nonce, Retry-After";

/** How long a browser may remember a preflight; seconds. More than this no browser keeps. */
const preflightSeconds = 86_400;

/** Makes a reply readable by scripts of any origin; errors need it as much as anything else. */
export function allowAnyOrigin(reply: FastifyReply): void {
  reply.header("access-control-allow-origin", "*").header("access-control-expose-headers", exposed);
}

/**
 * Answers OPTIONS, and so preflights, for every route that is added to `server` from now on. POST needs a preflight because its content
 * type is not one that a form could send.
 */
export function answerPreflights(server: FastifyInstance): void {
  const methods = new Map<string, Set<string>>();
  server.addHook("onRoute", ({ url, path, method }) => {
    const known = methods.get(url);
    const allowed = known ?? new Set<string>();
    for (const one of [method].flat()) allowed.add(one);
    if (known !== undefined) return;
    methods.set(url, allowed);
    const below = path.slice(server.prefix.length); // `path` is whole, and a route is added by what comes after the prefix.
    server.options(below, (_request, reply) => {
      const names = [...allowed].filter((name) => name !== "OPTIONS").join(", ");
      return reply
        .code(204)
        .header("allow", `${names}, OPTIONS`)
        .header("access-control-allow-methods", names)
        .header("access-control-allow-headers", "Content-Type, Accept")
        .header("access-control-max-age", String(preflightSeconds))
        .send();
    });
  });
}
