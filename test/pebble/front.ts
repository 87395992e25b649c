/** What stands before the listener: answers that are set from outside, and Pebble's Retry-After. */
import type { IncomingMessage, RequestListener, Server, ServerResponse } from "node:http";
import { pebblePaths } from "./knobs.ts";

export interface FrontParts {
  /** By the certificate's id: the body to answer with, to the letter. */
  readonly renewalInfo: ReadonlyMap<string, string>;
  /** Seconds; nothing for 0. */
  readonly retryAfter: { readonly authz: number; readonly order: number };
}

/** Puts it before whoever listens to the server's requests now. */
export function putInFront(server: Server, parts: FrontParts): void {
  const behind = server.listeners("request") as RequestListener[];
  server.removeAllListeners("request");
  server.on("request", (request: IncomingMessage, response: ServerResponse & { req: IncomingMessage }) => {
    const path = request.url ?? "";
    const fixed = parts.renewalInfo.get(path.slice(`${pebblePaths.renewalInfo}/`.length));
    if (fixed !== undefined && path.startsWith(`${pebblePaths.renewalInfo}/`)) {
      response.writeHead(200, { "content-type": "application/json", "retry-after": "21600" }).end(fixed);
      return;
    }
    if (path.startsWith("/authZ/")) addRetryAfter(response, parts.retryAfter.authz, /^\{"status":"pending"/);
    if (/^\/(my-order|finalize-order)\//.test(path))
      addRetryAfter(response, parts.retryAfter.order, /^\{"status":"processing"/);
    for (const listener of behind) listener(request, response);
  });
}

/** Adds it to a reply that says that the object is not done; as seconds or as a date, as it happens, so that clients meet both. */
function addRetryAfter(response: ServerResponse, seconds: number, unfinished: RegExp): void {
  if (seconds === 0) return;
  const end = response.end.bind(response) as (...parameters: unknown[]) => ServerResponse;
  const writeHead = response.writeHead.bind(response) as (...parameters: unknown[]) => ServerResponse;
  let head: unknown[] | undefined;
  Object.assign(response, {
    writeHead(...parameters: unknown[]) {
      head = parameters;
      return response;
    },
    end(...parameters: unknown[]) {
      const [body] = parameters;
      const told = Buffer.isBuffer(body) || typeof body === "string" ? unfinished.test(body.toString()) : false;
      if (head !== undefined) writeHead(...(told ? withRetryAfter(head, seconds) : head));
      return end(...parameters);
    },
  });
}

function withRetryAfter(head: readonly unknown[], seconds: number): unknown[] {
  const date = new Date(Date.now() + seconds * 1000).toUTCString();
  const value = Math.random() < 0.5 ? String(seconds) : date;
  return head.map((part) => (typeof part === "object" && part !== null ? { ...part, "retry-after": value } : part));
}
