/** `replaces` of newOrder (RFC 9773 §5): the certificate that the order is to take the place of. */
import { problem } from "../problem/problem.ts";
import type { JsonValue } from "../encoding/json.ts";
import { readCertificateId } from "./certificateId.ts";
import { requireSigner, type AcmeContext } from "./context.ts";
import type { Identifier, Replaces, Signer } from "./ports.ts";

/**
 * Reads the member. Whether the certificate may be replaced is decided by the statement that makes the order.
 * @throws {Problem} malformed · notFound for an issuer that is not ours
 */
export function readReplaces(
  value: JsonValue | undefined,
  { issuerIdsOf }: Pick<AcmeContext, "issuerIdsOf">,
): Replaces | null {
  if (value === undefined || value === null) return null;
  const read = typeof value === "string" ? readCertificateId(value) : undefined;
  if (typeof value !== "string" || read === undefined)
    throw problem("malformed", "replaces is not the id of a certificate");
  const issuerIds = issuerIdsOf(read.keyIdentifier);
  if (issuerIds.length === 0) throw noSuchPredecessor();
  return { id: value, serial: read.serialNumber, issuerIds };
}

/**
 * Says why a statement made no order that replaces this certificate, unless it is that another one does.
 * @throws {Problem} notFound · malformed · as `requireSigner` does
 */
export async function requirePredecessor(
  context: Pick<AcmeContext, "accounts" | "renewals">,
  signer: Signer,
  { serial, issuerIds }: Replaces,
  identifiers: readonly Identifier[],
): Promise<void> {
  await requireSigner(context, signer);
  const predecessor = await context.renewals.readPredecessor(signer, serial, issuerIds);
  if (predecessor === undefined) throw noSuchPredecessor();
  const { dnsNames, ipAddresses, spiffeId, permanentIdentifier } = predecessor;
  const names = { dns: dnsNames, ip: ipAddresses, uri: [spiffeId], "permanent-identifier": [permanentIdentifier] };
  if (!identifiers.some(({ type, value }) => names[type].includes(value)))
    throw problem("malformed", "the certificate to be replaced has none of the order's identifiers");
}

/** The one reason that is left (RFC 9773 §5). */
export const alreadyReplaced = () => problem("alreadyReplaced", "another order replaces this certificate already");

/** As for every object: one of another account does not exist (H-01). */
const noSuchPredecessor = () => problem("notFound", "replaces: the account has no such certificate");
