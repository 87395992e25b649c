/** What every refusal must look like, whatever the reason (RFC 8555 §6.7, RFC 9457). */
import type { Test } from "tap";
import type { Challenge, Reply } from "./acmeDriver.ts";

const acme = "urn:ietf:params:acme:error:";
const attestation = "urn:mayfly:workload-attest:error:";

/** Error types registered for ACME that this server may use; nothing else may stand in that namespace (R6.7-2). */
export const registeredTypes = new Set(
  [
    "accountDoesNotExist alreadyReplaced alreadyRevoked badAttestationStatement badCSR badNonce badPublicKey badRevocationReason",
    "badSignatureAlgorithm caa compound connection dns externalAccountRequired incorrectResponse invalidContact",
    "invalidProfile malformed orderNotReady rateLimited rejectedIdentifier serverInternal tls unauthorized",
    "unsupportedContact unsupportedIdentifier userActionRequired",
  ].flatMap((line) => line.split(" ").map((name) => `${acme}${name}`)),
);

/** Words of our insides; none may ever reach a client (R6.7-4). */
export const insides = /\bat \S+ \(|node_modules|\.ts:\d|select |insert |update |acme_order|acme_authorization|\/tmp\//;

/**
 * Asserts the refusal: status, registered type, media type, a sentence, and nothing of our insides.
 * @param type without its namespace
 */
export function refused(t: Test, reply: Reply, status: number, type: string, message = type): Record<string, unknown> {
  const summary = `${message}: ${status} ${type}`;
  t.equal(`${reply.status} ${typeOf(reply)}`, `${status} ${acme}${type}`, summary);
  t.equal(reply.headers["content-type"], "application/problem+json", `${message}: is a problem document`);
  const document = reply.json();
  t.equal(document["status"], status, `${message}: repeats the status`);
  t.match(document["detail"], /^[\x20-\x7e]{8,}$/, `${message}: says what is wrong, in plain text`);
  t.notMatch(reply.text, insides, `${message}: shows nothing of our insides`);
  t.notOk("identifier" in document, `${message}: identifiers only in subproblems (R6.7-3)`);
  return document;
}

function typeOf(reply: Reply): string {
  try {
    return String(reply.json()["type"]);
  } catch {
    return `no JSON: ${reply.text.slice(0, 200)}`;
  }
}

/** Asserts that a challenge failed for this reason of workload-attest-01. */
export function evidenceRefused(t: Test, reply: Reply, reason: string, message = reason): void {
  challengeFailed(t, reply, "badAttestationStatement", reason, message);
}

/** Asserts that a tkauth-01 challenge failed for this reason. */
export function tokenRefused(t: Test, reply: Reply, reason: string, message = reason): void {
  challengeFailed(t, reply, "incorrectResponse", reason, message);
}

function challengeFailed(t: Test, reply: Reply, type: string, reason: string, message: string): void {
  const challenge = reply.json() as unknown as Challenge;
  t.equal(reply.status, 200, `${message}: the challenge is the answer`);
  t.equal(challenge.status, "invalid", `${message}: the challenge is invalid`);
  t.equal(challenge.error?.type, `${acme}${type}`, `${message}: ${type}`);
  t.equal(challenge.error?.subproblems?.[0]?.type, `${attestation}${reason}`, `${message}: ${reason}`);
  t.notMatch(reply.text, insides, `${message}: shows nothing of our insides`);
}
