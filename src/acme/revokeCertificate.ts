/** revokeCert (RFC 8555 §7.6): by the issuing account, by an account that is authorized for every name, or by the certificate's key. */
import { problem } from "../problem/problem.ts";
import { readPublicKey } from "../x509/publicKey.ts";
import { readCertificate } from "../x509/certificate.ts";
import { decodeBase64url } from "../encoding/base64url.ts";
import { noSuchResource, requireValid, type AcmeContext, type AcmeRequest } from "./context.ts";
import { thumbprintOf } from "./jwk.ts";
import type { JsonObject, JsonValue } from "../encoding/json.ts";
import type { Identifier, StoredCertificate } from "./ports.ts";
import type { Reply } from "./resources.ts";

/** Reasons a client may give (RFC 5280 §5.3.1); hold, delta and authority reasons are not for clients. */
const allowedReasons = new Set([0, 1, 3, 4, 5, 9]);
const keyCompromise = 1;
/** Octets; a certificate is larger than the largest CSR it can come from. */
const certificateLimit = 32 * 1024;

/**
 * Revokes.
 * @throws {Problem} malformed · notFound · badRevocationReason · unauthorized · alreadyRevoked
 */
export async function revokeCertificate(request: AcmeRequest, context: AcmeContext): Promise<Reply> {
  const { payload = {} } = request;
  const der = readDer(payload);
  const reason = readReason(payload["reason"]);
  const stored = await find(der, context);
  if (request.account !== undefined) {
    const account = await context.accounts.findAccount(context.directory, request.account.id);
    requireValid(account?.status);
  }
  if (!(await mayRevoke(request, stored, context))) {
    throw problem(
      "unauthorized",
      "the signer is neither the certificate's key, nor its account, nor authorized for all its names",
    );
  }
  const outcome = await context.certificates.revoke({
    id: context.newId(),
    serial: stored.serial,
    reason,
    revokedBy: request.account === undefined ? "certificate key" : `account:${request.account.id}`,
    requireAccount: request.account,
    // Whoever signs with the key has shown that it is in other hands, or could be. What an account says is no proof of that: it may be
    // another account's certificate, and a key that is blocked cannot be used by its owner either.
    block: reason === keyCompromise && request.account === undefined ? request.key.spkiSha256 : undefined,
  });
  if (outcome === "alreadyRevoked") throw problem("alreadyRevoked", "the certificate is revoked already");
  if (outcome === "accountNotValid")
    throw problem("unauthorized", "the account is not valid any more", { status: 401 });
  return { status: 200, body: "" };
}

function readDer({ certificate }: JsonObject): Buffer {
  const der = typeof certificate === "string" ? decodeBase64url(certificate) : undefined;
  if (der === undefined) throw problem("malformed", "certificate is not base64url");
  if (der.length > certificateLimit) throw problem("malformed", "the certificate is too large");
  return der;
}

function readReason(value: JsonValue | undefined): number | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value !== "number" || !Number.isInteger(value)) throw problem("malformed", "reason is not an integer");
  if (!allowedReasons.has(value)) {
    throw problem("badRevocationReason", `the reasons that clients may give are ${[...allowedReasons].join(", ")}`);
  }
  return value;
}

/** The whole certificate counts, not its serial: altered bytes or another CA's certificate name nothing here (R7.6-5). */
async function find(der: Buffer, { certificates }: AcmeContext): Promise<StoredCertificate> {
  let serial: Buffer;
  try {
    serial = readCertificate(der).serialNumber;
  } catch {
    throw problem("malformed", "the certificate cannot be parsed");
  }
  const stored = await certificates.findCertificate(serial);
  if (stored === undefined || !stored.der.equals(der)) throw noSuchResource();
  return stored;
}

async function mayRevoke(
  { account, key }: AcmeRequest,
  stored: StoredCertificate,
  { certificates }: AcmeContext,
): Promise<boolean> {
  if (account === undefined) {
    return key.thumbprint.equals(thumbprintOf(readPublicKey(readCertificate(stored.der).spki)));
  }
  if (stored.accountId === account.id) return true;
  return await certificates.holdsAuthorizations(account, identifiersOf(stored));
}

function identifiersOf({ dnsNames, ipAddresses, spiffeId, permanentIdentifier }: StoredCertificate): Identifier[] {
  return [
    ...dnsNames.map((value): Identifier => ({ type: "dns", value })),
    ...ipAddresses.map((value): Identifier => ({ type: "ip", value })),
    ...(spiffeId === null ? [] : [{ type: "uri", value: spiffeId } as const]),
    ...(permanentIdentifier === null ? [] : [{ type: "permanent-identifier", value: permanentIdentifier } as const]),
  ];
}
