/** The one place where an error becomes a reply (RFC 9457): ours as they are, the framework's by a table, all else as 500 without detail. */
import { STATUS_CODES } from "node:http";
import type { Socket } from "node:net";
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from "fastify";

import { KeyUnavailable } from "../keys/signer.ts";
import { Problem, problem, problemDocument } from "../problem/problem.ts";

const problemContentType = "application/problem+json";

/** Installs the handlers for errors and for unknown paths. */
export function installProblems(server: FastifyInstance): void {
  server.setErrorHandler((error, request, reply) => sendProblem(asProblem(error, request), request, reply));
  server.setNotFoundHandler((request, reply) =>
    sendProblem(problem(isRest(request) ? "restNotFound" : "notFound", "there is no such resource"), request, reply),
  );
}

/** Sends the document as octets (fastify would add a charset to a string, which some ACME clients do not expect), and logs: our own faults with their cause, the client's as a line. */
export function sendProblem(refusal: Problem, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const { retryAfterSeconds, headers } = refusal.options;
  if (refusal.status >= 500) request.log.error({ err: refusal.cause ?? refusal }, refusal.message);
  else request.log.info({ problem: refusal.code }, refusal.message);
  if (retryAfterSeconds !== undefined) reply.header("retry-after", String(retryAfterSeconds));
  for (const [name, value] of Object.entries(headers ?? {})) {
    reply.header(
      name,
      name === "link" ? [reply.getHeader("link"), value].flat().filter((item) => item !== undefined) : value,
    );
  }
  return reply
    .code(refusal.status)
    .header("content-type", problemContentType)
    .send(Buffer.from(JSON.stringify(problemDocument(refusal))));
}

/** @returns what the client may see; the original error stays in `cause` for the log */
function asProblem(error: unknown, request: Pick<FastifyRequest, "url">): Problem {
  if (error instanceof Problem) return error;
  if (error instanceof KeyUnavailable) {
    return problem("unavailable", "the signing key is not available right now", { retryAfterSeconds: 5, cause: error });
  }
  const { code, statusCode, validation } = (error ?? {}) as Partial<FastifyError>;
  if (code === "FST_ERR_CTP_BODY_TOO_LARGE" || statusCode === 413)
    return problem("payloadTooLarge", "the request body is too large");
  if (code === "FST_ERR_CTP_INVALID_MEDIA_TYPE" || statusCode === 415) {
    return problem("unsupportedMediaType", "the content type is not supported here");
  }
  if (validation !== undefined) return problem("restInvalid", validationDetail(validation));
  if (code === "FST_ERR_CTP_INVALID_JSON_BODY" || code === "FST_ERR_CTP_EMPTY_JSON_BODY")
    return problem(isRest(request) ? "restInvalid" : "malformed", "the body is not JSON");
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500) {
    return problem(isRest(request) ? "restInvalid" : "malformed", "the request is malformed", { status: statusCode });
  }
  return problem("serverInternal", "the server had an internal error", { cause: error });
}

/** A pattern says little to people: what its schema says of itself, which the validator passes on when it is verbose. */
function wordsFor(fault: object): string | undefined {
  const { keyword, parentSchema } = fault as { keyword: string; parentSchema?: { description?: string } };
  if (keyword !== "pattern" || parentSchema?.description === undefined) return undefined;
  return `must be ${parentSchema.description}`;
}

/** The first fault of a query, by the parameter's name and with what was expected. */
function validationDetail([first]: NonNullable<FastifyError["validation"]>): string {
  if (first === undefined) return "the request is not valid";
  const { additionalProperty, allowedValues } = first.params as {
    additionalProperty?: string;
    allowedValues?: string[];
  };
  if (additionalProperty !== undefined)
    return `there is no parameter ${JSON.stringify(additionalProperty.slice(0, 100))}`;
  const expected =
    wordsFor(first) ??
    (allowedValues === undefined ? (first.message ?? "is not valid") : `must be one of ${allowedValues.join(", ")}`);
  return `${first.instancePath.slice(1).replaceAll("/", ".") || "the request"} ${expected}`;
}

/** Answers what is not HTTP, has a header that is too large, or takes too long: there is no request yet, only a socket. */
export function refuseConnection({ code }: NodeJS.ErrnoException, socket: Socket): void {
  if (code === "ECONNRESET" || !socket.writable) {
    socket.destroy();
    return;
  }
  const { status, detail } = brokenRequests[code ?? ""] ?? { status: 400, detail: "the request is not HTTP/1.1" };
  const body = JSON.stringify(problemDocument(problem("malformed", detail, { status })));
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    `content-type: ${problemContentType}`,
    `content-length: ${Buffer.byteLength(body)}`,
    "connection: close",
  ];
  socket.end(`${head.join("\r\n")}\r\n\r\n${body}`, () => socket.destroy());
}

const brokenRequests: Readonly<Record<string, { status: number; detail: string }>> = {
  HPE_HEADER_OVERFLOW: { status: 431, detail: "the header of the request is too large" },
  ERR_HTTP_REQUEST_TIMEOUT: { status: 408, detail: "the request did not arrive in time" },
};

const isRest = ({ url }: Pick<FastifyRequest, "url">): boolean => url.startsWith("/api/");
