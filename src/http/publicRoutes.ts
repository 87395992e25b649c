/** What anybody may read: health, metrics, the SPIFFE bundle, the root, and a page for people. */
import type { FastifyInstance } from "fastify";

import { problem } from "../problem/problem.ts";
import { caCertificateRoutes, type FindCaCertificate } from "./caCertificates.ts";
import { homePage, type HomeFacts } from "./home.ts";
import { limitsPage, type LimitSentences } from "./limitsPage.ts";
import type { Metrics } from "./metrics.ts";
import { NotReady } from "./readiness.ts";

export interface PublicRoutesOptions {
  readonly home: HomeFacts;
  /** What the page about limits says. */
  readonly limits: LimitSentences;
  /** What every parser reads. */
  readonly rootPem: () => string;
  readonly bundle: () => object;
  /** The same with the roots that have ML-DSA keys. */
  readonly postQuantum: { readonly rootPem: () => string; readonly bundle: () => object };
  readonly caCertificate: FindCaCertificate;
  readonly metrics: Metrics;
  /** Tries the database and the signing keys for real. @throws {NotReady} · anything else that is for the log alone */
  readonly ready: () => Promise<void>;
  /** Sentences about what needs somebody, though requests can be answered. */
  readonly warnings: () => readonly string[];
  /** Public key of the development evidence source, where there is one. */
  readonly developmentJwks: object | undefined;
}

export function publicRoutes(options: PublicRoutesOptions) {
  return async function plugin(server: FastifyInstance): Promise<void> {
    const documents: Record<string, { type: string; body: () => string }> = {
      "/": { type: "text/html; charset=utf-8", body: () => homePage(options.home) },
      "/limits": { type: "text/html; charset=utf-8", body: () => limitsPage(options.limits) },
      "/root.pem": { type: "application/x-pem-file", body: options.rootPem },
      "/root-post-quantum.pem": { type: "application/x-pem-file", body: options.postQuantum.rootPem },
      "/spiffe/bundle.json": { type: "application/json", body: () => JSON.stringify(options.bundle()) },
      "/spiffe/bundle-post-quantum.json": {
        type: "application/json",
        body: () => JSON.stringify(options.postQuantum.bundle()),
      },
      "/healthz": { type: "application/json", body: () => '{"status":"ok"}' },
    };
    if (options.developmentJwks !== undefined) {
      const { developmentJwks } = options;
      documents["/dev/jwks.json"] = { type: "application/json", body: () => JSON.stringify(developmentJwks) };
    }
    for (const [path, { type, body }] of Object.entries(documents)) {
      server.get(path, async (_request, reply) =>
        reply.header("content-type", type).header("content-security-policy", pagePolicy).send(body()),
      );
    }
    await server.register(caCertificateRoutes(options.caCertificate, options.home.externalUrl));
    server.get("/readyz", async () => {
      try {
        await options.ready();
      } catch (cause) {
        const reason = cause instanceof NotReady ? cause.message : "the database or the signing key does not answer";
        throw problem("unavailable", reason, { retryAfterSeconds: 5, cause });
      }
      const warnings = options.warnings();
      return { status: "ready", ...(warnings.length > 0 && { warnings }) };
    });
    server.get("/metrics", async (_request, reply) =>
      reply.header("content-type", options.metrics.contentType).send(await options.metrics.text()),
    );
  };
}

const pagePolicy =
  "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
