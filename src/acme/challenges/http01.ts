/** The challenge http-01 (RFC 8555 §8.3; for IP addresses RFC 8738 §4). */
import { isIP } from "node:net";
import { OutboundFailure, quoted } from "../../outbound/failure.ts";
import { hostOf, httpRequest, portOf, type HttpAnswer } from "../../outbound/httpRequest.ts";
import { isLocalhostName } from "../../outbound/resolver.ts";
import { attempt, sameBytes, ValidationFailure } from "./validation.ts";
import type { Validation, ValidationGround, Validator } from "./validation.ts";

const redirectsMax = 10;
const redirectCharactersMax = 2000;
/** A key authorization has fewer than 200 octets. */
const bodyBytesMax = 1024;
const headerBytesMax = 8192;
const redirectStatuses = new Set([301, 302, 303, 307, 308]);

/** The key authorization must be found at `/.well-known/acme-challenge/<token>`, redirects followed. */
export const http01: Validator = (validation, outbound, signal) =>
  attempt(outbound.timeoutMs, signal, async (lifetime) => {
    const visited = new Set<string>();
    const asked = { userAgent: outbound.userAgent, headerBytesMax };
    let url = firstUrl(validation, outbound.http01Port);
    for (;;) {
      visited.add(url.href);
      // RFC 8555 §8.3 starts with plain http; after a redirect to https the certificate proves nothing that matters here.
      const answer = await httpRequest(url, outbound, { ...asked, signal: lifetime }).catch((error: unknown) => {
        throw visited.size > 1 ? afterRedirect(error, visited.size - 1) : error;
      });
      if (!redirectStatuses.has(answer.status))
        return requireKeyAuthorization(answer, validation.keyAuthorization, visited.size > 1);
      answer.close();
      url = redirectTarget(answer.location, url, validation, outbound);
      if (visited.has(url.href)) throw new ValidationFailure("unauthorized", "the redirects go round in a loop");
      if (visited.size > redirectsMax)
        throw new ValidationFailure("unauthorized", `more than ${redirectsMax} redirects`);
    }
  });

function firstUrl({ identifier, token }: Validation, port: number): URL {
  const host = isIP(identifier.value) === 6 ? `[${identifier.value}]` : identifier.value;
  const url = URL.parse(`http://${host}:${port}/.well-known/acme-challenge/${token}`);
  // A URL has its own idea of hosts: "0x7f.1" would be an address. What is certified must be what is asked.
  if (url?.hostname !== host)
    throw new ValidationFailure("rejectedIdentifier", `${quoted(host)} cannot be the host of a URL`);
  return url;
}

/** RFC 8555 §8.3 lets the client redirect; §10.4 is why not anywhere. The address is judged again when it is connected to. */
function redirectTarget(
  location: string | undefined,
  from: URL,
  { identifier }: Validation,
  outbound: ValidationGround,
): URL {
  const refuse = (why: string) =>
    new ValidationFailure("unauthorized", `redirect to ${quoted(location ?? "")} refused: ${why}`);
  if (location === undefined) throw new ValidationFailure("unauthorized", "a redirect without Location");
  if (location.length > redirectCharactersMax) throw refuse(`longer than ${redirectCharactersMax} characters`);
  const url = URL.parse(location, from.href);
  if (url === null) throw refuse("not a URL");
  if (url.href.length > redirectCharactersMax) throw refuse(`longer than ${redirectCharactersMax} characters`);
  if (url.protocol !== "http:" && url.protocol !== "https:") throw refuse("neither http nor https");
  if (url.username !== "" || url.password !== "") throw refuse("it holds user information");
  if (url.hash !== "") throw refuse("it holds a fragment");
  if (![80, 443, outbound.http01Port].includes(portOf(url))) throw refuse("not a port of http-01");
  if (identifier.type === "dns" && isIP(hostOf(url)) !== 0) throw refuse("an IP address instead of a name");
  // Loopback is there for the name that is validated and its responder, not for whatever else listens on this machine.
  const own = hostOf(url) === identifier.value && portOf(url) === outbound.http01Port;
  if (isLocalhostName(hostOf(url)) && !own) throw refuse("a name of this machine");
  return url;
}

/** A refused address after a redirect says nothing against the identifier; everything else stays what it is. */
function afterRedirect(error: unknown, redirects: number): unknown {
  if (!(error instanceof OutboundFailure) || error.problem === "ours") return error;
  const problem = error.problem === "forbidden" ? "answer" : error.problem;
  return new OutboundFailure(problem, `at redirect ${redirects}: ${error.message}`, error);
}

/** What came by way of a redirect is not shown: it may be another service's, which the client could not read itself. */
async function requireKeyAuthorization(
  answer: HttpAnswer,
  keyAuthorization: string,
  redirected: boolean,
): Promise<void> {
  if (answer.status !== 200) {
    answer.close();
    throw new ValidationFailure("unauthorized", `the answer has status ${answer.status}, not 200`);
  }
  const body = await answer.body(bodyBytesMax);
  // §8.3: white space after the key authorization is ignored.
  let end = body.length;
  while (end > 0 && [0x20, 0x09, 0x0a, 0x0b, 0x0c, 0x0d].includes(body[end - 1] ?? 0)) end -= 1;
  if (!sameBytes(body.subarray(0, end), Buffer.from(keyAuthorization))) {
    throw new ValidationFailure(
      "unauthorized",
      `the body is ${redirected ? "" : `${quoted(body)}, `}not the key authorization`,
    );
  }
}
