/** The listener: fastify with its limits, TLS, problem replies and the resources that need no authentication. */
import Fastify, { LogController, type FastifyInstance, type FastifyServerOptions } from "fastify";

import { problem } from "../problem/problem.ts";
import { refuseOtherMethods } from "./otherMethods.ts";
import { installProblems, refuseConnection, sendProblem } from "./problems.ts";

export interface ListenerTls {
  /** PEM chain, leaf first. */
  readonly certificate: string;
  /** PEM private key. */
  readonly key: string;
}

export interface ServerOptions {
  /** Undefined behind a TLS proxy. */
  readonly tls: ListenerTls | undefined;
  readonly logLevel: string;
  /** Octets of a request body where a route says nothing else. */
  readonly bodyLimit: number;
  /** Connections at the same time; one more is closed at once, so that file descriptors stay for everything else. */
  readonly maxConnections: number;
  /** A connection on which nothing moves for so long is closed; milliseconds. */
  readonly stalledMs?: number;
  /** How long a server that stops waits for answers under way; milliseconds. */
  readonly stopMs?: number;
  /** Addresses and networks whose X-Forwarded-For is believed; of everybody else the connection's own address counts (H-32). */
  readonly trustedProxies: readonly string[];
  readonly onRequestDone: (request: { route: string; method: string; status: number; seconds: number }) => void;
}

/** Whoever takes nothing of an answer may not keep its place, and what is to be sent, for ever. No answer takes us so long. */
const stalledMsDefault = 300_000;
/** Less than the half minute after which Kubernetes kills, and more than issuing takes. */
const stopMsDefault = 20_000;

/** Makes the server, without routes. */
export function createServer(options: ServerOptions): FastifyInstance {
  const common: FastifyServerOptions = {
    logger: {
      level: options.logLevel,
      // Evidence, tokens and keys travel in bodies and in Authorization: neither is ever logged.
      serializers: {
        req: (request: { method: string; url: string; remoteAddress?: string }) => ({
          method: request.method,
          url: request.url.slice(0, 300),
        }),
      },
    },
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: options.bodyLimit,
    trustProxy: options.trustedProxies.length === 0 ? false : [...options.trustedProxies],
    requestTimeout: 30_000,
    connectionTimeout: options.stalledMs ?? stalledMsDefault,
    keepAliveTimeout: 72_000,
    routerOptions: { maxParamLength: 200, ignoreTrailingSlash: false, caseSensitive: true },
    ajv: { customOptions: { coerceTypes: false, removeAdditional: false, useDefaults: false, verbose: true } },
    exposeHeadRoutes: true,
    // A path that cannot be decoded, and a request that is no HTTP, get a problem like everything else.
    frameworkErrors: (_error, request, reply) =>
      void sendProblem(problem("malformed", "the path is not valid"), request, reply),
    clientErrorHandler: refuseConnection,
  };
  const raw = { maxHeaderSize: 16_384, headersTimeout: 10_000, maxRequestsPerSocket: 0 };
  const server = options.tls
    ? (Fastify({
        ...common,
        https: {
          ...raw,
          cert: options.tls.certificate,
          key: options.tls.key,
          minVersion: "TLSv1.2",
          handshakeTimeout: 10_000, // A connection that never says anything must not stay.
        },
      } as FastifyServerOptions) as unknown as FastifyInstance)
    : Fastify({ ...common, http: raw } as FastifyServerOptions);
  server.server.maxConnections = options.maxConnections;
  installProblems(server);
  refuseOtherMethods(server);
  // Hooks with callbacks: as promises they would cost every request a turn of the microtask queue each.
  server.addHook("onRequest", (_request, reply, done) => {
    reply.header("x-content-type-options", "nosniff");
    done();
  });
  server.addHook("onResponse", (request, reply, done) => {
    const { url: route = "none" } = request.routeOptions;
    options.onRequestDone({
      route,
      method: request.method,
      status: reply.statusCode,
      seconds: reply.elapsedTime / 1000,
    });
    done();
  });
  // A connection whose reply is sent while the server stops would otherwise stay for its whole keep-alive time, and the stop with it.
  // And one whose client takes nothing of its answer would stay for as long as that client likes.
  let sweep: NodeJS.Timeout | undefined;
  let end: NodeJS.Timeout | undefined;
  server.addHook("preClose", (done) => {
    sweep = setInterval(() => server.server.closeIdleConnections(), 100);
    end = setTimeout(() => server.server.closeAllConnections(), options.stopMs ?? stopMsDefault);
    done();
  });
  server.addHook("onClose", (_instance, done) => {
    clearInterval(sweep);
    clearTimeout(end);
    done();
  });
  return server;
}
