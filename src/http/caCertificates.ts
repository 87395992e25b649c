/** CA certificates at the paths that `Link` and certificates name: `/ca/<file>` (RFC 8555 §7.4.2, RFC 5280 §4.2.2.1). */
import type { FastifyInstance } from "fastify";

import { problem } from "../problem/problem.ts";

/** The CA certificate at a path, with the paths of those above it. */
export type FindCaCertificate = (
  path: string,
) => { readonly certificate: Buffer; readonly up: readonly string[] } | undefined;

/** A path stands for one certificate; it is not asked for again for a day. */
const caCertificateSeconds = 86_400;

export function caCertificateRoutes(find: FindCaCertificate, externalUrl: string) {
  return async function plugin(server: FastifyInstance): Promise<void> {
    server.get<{ Params: { file: string } }>("/ca/:file", async ({ params }, reply) => {
      const found = find(`/ca/${params.file}`);
      if (found === undefined) throw problem("notFound", "there is no such CA certificate");
      const links = found.up.map((above) => `<${externalUrl}${above}>;rel="up"`);
      if (links.length > 0) reply.header("link", links);
      return reply
        .header("content-type", "application/pkix-cert")
        .header("cache-control", `public, max-age=${caCertificateSeconds}`)
        .header("access-control-allow-origin", "*")
        .send(found.certificate);
    });
  };
}
