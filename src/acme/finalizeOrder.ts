/** Finalize (RFC 8555 §7.4): turns a `ready` order into a certificate. */
import type { Profile } from "../authority/profile.ts";
import { problem } from "../problem/problem.ts";
import { notRenewed } from "../problem/renewalRefusals.ts";
import type { CertificationRequest } from "../x509/csr.ts";
import { requireCaa } from "./caaAtFinalize.ts";
import { blockedKey, quarantined, required, signer, suspended, type AcmeContext, type AcmeRequest } from "./context.ts";
import { isAttested } from "./identifiers.ts";
import { thumbprintOf } from "./jwk.ts";
import { authorizedBy, issueOrder, type Finalizing, type Proved } from "./issueOrder.ts";
import { idOf } from "./order.ts";
import {
  attempt,
  keyIsAccountKey,
  keyIsBlocked,
  keyIsUsed,
  readOrderCsr,
  requireAllowedKey,
  requireSameNames,
} from "./orderCsr.ts";
import type { SigningAccount } from "./pipeline.ts";
import type { Authorization, Identifier, Order } from "./ports.ts";
import { orderReply, orderStatus, type Reply } from "./resources.ts";

/**
 * Finalizes. Idempotent in effect: whoever moves the order out of `ready` issues; everyone else is told `orderNotReady` and reads it.
 * @throws {Problem} badPublicKey (the account's key is blocked) · orderNotReady (403) · badCSR (the order stays `ready`) ·
 *   rejectedIdentifier when today's policy no longer allows the names · invalidProfile when the profile changed since the order was
 *   made · rateLimited (the order stays `ready`) · caa or dns where CAA records are asked for again (the same) · unavailable
 */
export async function finalizeOrder(request: AcmeRequest, context: AcmeContext): Promise<Reply> {
  const finalizing = await context.finalizes.run(() => check(request, context));
  // Not in the queue: names whose DNS is slow hold up nobody else's certificates.
  const { accountId, proved } = finalizing;
  await requireCaa(proved, { accountId, accountUrl: context.urls.account(accountId) }, context);
  return context.finalizes.run(() => conclude(finalizing, context));
}

/** Everything that order and CSR themselves say. */
async function check(request: AcmeRequest, context: AcmeContext): Promise<Finalizing> {
  const account = signer(request);
  const id = idOf(request, "order");
  const read = attempt(() => readOrderCsr(request.payload?.["csr"]));
  const publicKey = read.ok ? read.value.publicKey : undefined;
  const { order, authorizations, ...found } = required(
    await context.orders.readForFinalize(account, id, {
      thumbprint: publicKey && thumbprintOf(publicKey),
      spkiSha256: publicKey?.sha256,
      accountSpkiSha256: account.key.spkiSha256,
    }),
  );
  if (found.accountKeyIsBlocked) throw blockedKey();

  const status = orderStatus(order, context.now());
  if (status !== "ready") throw problem("orderNotReady", `the order is ${status}`); // §7.4: 403 in any other state
  const proved = provedIdentifiers(order, authorizations);
  if (!read.ok) throw read.error;
  const csr = read.value;
  const profile = pinnedProfile(order, context);
  requireSameNames(csr, order.identifiers);
  for (const { identifier, authorization } of proved) {
    if (isAttested(identifier.type)) requireProvedKeys(csr, account, authorization);
  }
  if (found.keyIsAccountKey) throw keyIsAccountKey();
  if (found.keyIsBlocked) throw keyIsBlocked();
  requireAllowedKey(csr, profile);
  return { accountId: account.id, order, proved, csr, profile };
}

/** Policy as it reads now, and the one act. */
async function conclude(finalizing: Finalizing, context: AcmeContext): Promise<Reply> {
  const authorized = authorizedBy(finalizing, context);
  const outcome = await issueOrder(authorized, finalizing, context);
  if (outcome.outcome === "notReady") {
    if (authorized.storedGrant !== null) {
      // Perhaps its grant was changed or removed, on whatever server, and this one has not heard of it.
      await context.policy.reread();
      authorizedBy(finalizing, context);
    }
    throw problem("orderNotReady", "the order is not ready any more");
  }
  if (outcome.outcome === "quarantined") throw quarantined();
  if (outcome.outcome === "suspended") throw suspended();
  if (outcome.outcome === "keyIsBlocked") throw keyIsBlocked();
  if (outcome.outcome === "keyIsUsed") throw keyIsUsed(finalizing.profile.keyReuse);
  if (outcome.outcome === "cloned" || outcome.outcome === "revoked") throw notRenewed(outcome.outcome);
  const { order } = finalizing;
  const issued: Order =
    outcome.outcome === "issued"
      ? { ...order, status: "valid", certificateSerial: outcome.serial }
      : { ...order, status: "processing" }; // The intent is committed: the order will be finished, by the settling job if need be.
  return orderReply(issued, context.urls, context.now());
}

/**
 * Each identifier with its authorization. H-02: one that is not this account's is none, and an identifier without one, or with one
 * that does not speak for it, is not issued.
 */
function provedIdentifiers(order: Order, authorizations: readonly Authorization[]): Proved[] {
  const byId = new Map(authorizations.map((authorization) => [authorization.id, authorization]));
  return order.identifiers.map((identifier, index) => {
    const authorization = byId.get(order.authorizationIds[index] ?? "");
    if (authorization === undefined || !speaksFor(authorization, identifier))
      throw problem("orderNotReady", "an authorization is missing");
    return { identifier, authorization };
  });
}

/** For exactly its identifier; as a wildcard for the names one label below; as RFC 9444 has it for all names below, wildcards not. */
function speaksFor({ identifier, wildcard, subdomains }: Authorization, { type, value }: Identifier): boolean {
  if (identifier.type !== type) return false;
  if (value === (wildcard ? `*.${identifier.value}` : identifier.value)) return true;
  return subdomains && type === "dns" && !value.startsWith("*.") && value.endsWith(`.${identifier.value}`);
}

/** The profile the order was made under, if it still reads the same. */
function pinnedProfile(order: Order, { profiles }: AcmeContext): Profile {
  const profile = profiles.get(order.profile);
  if (profile === undefined || !profile.hash.equals(order.profileHash)) {
    throw problem("invalidProfile", "the profile has changed since the order was made; make a new order");
  }
  return profile;
}

/**
 * The keys that the proof of a SPIFFE ID or device was for; what is missing fails closed. workload-attest-01, rule 8: the key to be
 * certified. device-attest-01: the key that was attested, which is the one to be certified. A token of tkauth-01 names the account key instead, so that very key, and not a later one of the account, must sign here; whoever has it
 * chooses the key to be certified (RFC 9447 leaves that to the CSR), unless the token fixes it.
 */
export function requireProvedKeys(
  { publicKey }: CertificationRequest,
  account: SigningAccount,
  { attestation, challenges }: Authorization,
): void {
  const by = challenges.find(({ status }) => status === "valid")?.type;
  if (by === "tkauth-01") {
    if (attestation?.accountKey !== account.thumbprint.toString("base64url"))
      throw problem("unauthorized", "the token was for another key of the account; make a new order");
  } else if (by === "device-attest-01") {
    if (attestation?.certificateKey === undefined)
      throw problem("badCSR", "no key was attested that this CSR could be held against");
  } else if (by !== "workload-attest-01" || attestation?.spki !== publicKey.sha256.toString("base64url")) {
    throw problem("badCSR", "the CSR's key is not the key that the evidence vouched for");
  }
  const fixed = attestation.certificateKey;
  if (fixed !== undefined && fixed !== thumbprintOf(publicKey).toString("base64url"))
    throw problem("badCSR", "the CSR's key is not the key that the evidence fixes");
}
