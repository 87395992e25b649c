/** The renewalInfo resource (RFC 9773 §4): for anybody, by GET. */
import { problem } from "../problem/problem.ts";
import { readCertificateId } from "./certificateId.ts";
import { noSuchResource, type AcmeContext } from "./context.ts";
import { timestamp, type Reply } from "./resources.ts";
import { retryAfterSecondsOf, suggestedWindow } from "./renewalWindow.ts";

/** A kept answer is this old at most, so that a revocation or an incident is heard of soon; seconds. */
const cacheSeconds = 60;

/**
 * Answers for the certificate with this id.
 * @throws {Problem} malformed for what is no id · notFound for a key or serial number that is not ours
 */
export async function renewalInfo(
  id: string,
  { directory, issuerIdsOf, renewals }: Pick<AcmeContext, "directory" | "issuerIdsOf" | "renewals">,
): Promise<Reply> {
  const read = readCertificateId(id);
  if (read === undefined) throw problem("malformed", "the certificate id is not two parts of canonical base64url");
  const issuerIds = issuerIdsOf(read.keyIdentifier);
  if (issuerIds.length === 0) throw noSuchResource();
  const renewal = await renewals.readRenewal(directory, read.serialNumber, issuerIds);
  if (renewal === undefined) throw noSuchResource();
  const { start, end } = suggestedWindow(renewal);
  const explanationURL = renewal.incident?.explanationUrl ?? null;
  const retryAfter = retryAfterSecondsOf(renewal);
  return {
    status: 200,
    headers: {
      "retry-after": String(retryAfter),
      "cache-control": `public, max-age=${Math.min(retryAfter, cacheSeconds)}`,
    },
    body: {
      suggestedWindow: { start: timestamp(start), end: timestamp(end) },
      ...(explanationURL !== null && { explanationURL }),
    },
  };
}
