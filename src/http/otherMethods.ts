/**
 * Paths that exist, asked with a method that they do not have: 405 with `Allow` (RFC 9110 §15.5.6), for every room alike and from the
 * routes themselves, so that no table has to be kept beside them.
 */
import type { FastifyInstance } from "fastify";

import { problem } from "../problem/problem.ts";

/** Must be called before the first route is added. */
export function refuseOtherMethods(server: FastifyInstance): void {
  const routes = new Map<string, Set<string>>();
  server.addHook("onRoute", ({ url, method }) => {
    const methods = routes.get(url) ?? new Set();
    for (const one of [method].flat()) methods.add(one);
    routes.set(url, methods);
  });
  // After the rooms' own onRequest hooks, so that their headers are on it, and before a body is read.
  server.addHook("preParsing", (request, _reply, payload, done) => {
    if (!request.is404) return done(null, payload);
    const [path = ""] = request.url.split("?", 1);
    const methods = [...routes].find(([pattern]) => fits(pattern.split("/"), path.split("/")))?.[1];
    if (methods === undefined) return done(null, payload);
    const headers = { allow: [...methods].sort().join(", ") };
    done(problem("methodNotAllowed", "the method is not allowed here", { headers }));
  });
}

function fits(pattern: readonly string[], path: readonly string[]): boolean {
  if (pattern.at(-1) === "*")
    return path.length >= pattern.length && fits(pattern.slice(0, -1), path.slice(0, pattern.length - 1));
  return (
    pattern.length === path.length &&
    pattern.every((segment, index) => (segment.startsWith(":") ? path[index] !== "" : path[index] === segment))
  );
}
