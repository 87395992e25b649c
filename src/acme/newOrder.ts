/** newOrder (RFC 8555 §7.4). */
import { validityOf, ValidityRefused, type Profile } from "../authority/profile.ts";
import { problem } from "../problem/problem.ts";
import { parseRfc3339 } from "../x509/time.ts";
import { named, requireValid, signer, type AcmeContext, type AcmeRequest } from "./context.ts";
import { readIdentifiers } from "./identifiers.ts";
import type { JsonObject, JsonValue } from "../encoding/json.ts";
import type { Challenge, ChallengeType, Identifier, NewAuthorization, Order } from "./ports.ts";
import { orderReply, timestamp, type Reply } from "./resources.ts";

/** Members that ask for something this server does not do; ignoring them would issue other than ordered (§7.4). */
const refusedMembers = { "auto-renewal": "STAR (RFC 8739)", delegation: "delegation" } as const;

/**
 * Makes an order with one authorization for each identifier.
 * @throws {Problem} malformed · unsupportedIdentifier · rejectedIdentifier · invalidProfile · unauthorized (401)
 */
export async function newOrder(request: AcmeRequest, context: AcmeContext): Promise<Reply> {
  const account = signer(request);
  const { payload = {} } = request;
  for (const [member, what] of Object.entries(refusedMembers)) {
    if (member in payload) throw problem("malformed", `${member}: ${what} is not supported`);
  }
  const identifiers = readIdentifiers(payload["identifiers"], context.limits.identifiersPerOrder, context.policy);
  const profile = chooseProfile(payload["profile"], identifiers, context);
  const now = context.now();
  const { notBefore, notAfter } = readValidity(payload, profile, now);

  const attested = identifiers.some(({ type }) => type === "uri");
  const { orderLifetimeSeconds, attestationChallengeSeconds } = context.limits;
  const expiresAt = later(now, attested ? attestationChallengeSeconds * 2 : orderLifetimeSeconds);
  const authorizations = identifiers.map((identifier) =>
    newAuthorization(identifier, profile.name, expiresAt, now, context),
  );
  const order: Order = {
    id: context.newId(),
    status: "pending",
    identifiers,
    authorizationIds: authorizations.map(({ id }) => id),
    profile: profile.name,
    profileHash: profile.hash,
    notBefore,
    notAfter,
    expiresAt,
    error: null,
    certificateSerial: null,
  };
  if (!(await context.orders.createOrder({ ...order, accountId: account.id, authorizations }))) {
    requireValid((await context.accounts.findAccount(account.id))?.status);
    throw new Error("a valid account could not make an order");
  }
  return orderReply(order, context.urls, now, 201);
}

const later = (now: Date, seconds: number): Date => new Date((Math.floor(now.getTime() / 1000) + seconds) * 1000);

/** The profile asked for, or the first that fits; draft-ietf-acme-profiles §4. */
function chooseProfile(
  asked: JsonValue | undefined,
  identifiers: readonly Identifier[],
  context: AcmeContext,
): Profile {
  const uri = identifiers.find(({ type }) => type === "uri");
  const granted = uri && context.policy.candidates(uri.value).profiles;
  const fits = (profile: Profile): boolean =>
    identifiers.every(({ type }) => profile.identifiers.includes(type)) &&
    (granted === undefined ? !profile.identifiers.includes("uri") : granted.includes(profile.name));
  if (asked === undefined) {
    const first = [...context.profiles.values()].find(fits);
    if (first === undefined)
      throw problem("rejectedIdentifier", `no profile allows ${identifiers.map(named).join(", ").slice(0, 200)}`);
    return first;
  }
  const profile = typeof asked === "string" ? context.profiles.get(asked) : undefined;
  if (profile === undefined) throw problem("invalidProfile", "there is no such profile; the directory lists them");
  if (!fits(profile)) throw problem("invalidProfile", `profile ${profile.name} does not allow these identifiers`);
  return profile;
}

/** notBefore and notAfter are honoured or refused (§7.4). A Go program's unset time means absent. */
function readValidity(
  payload: JsonObject,
  profile: Profile,
  now: Date,
): { notBefore: Date | null; notAfter: Date | null } {
  const notBefore = readTime(payload["notBefore"], "notBefore");
  const notAfter = readTime(payload["notAfter"], "notAfter");
  try {
    validityOf(profile, now, { notBefore: notBefore ?? undefined, notAfter: notAfter ?? undefined });
  } catch (error) {
    if (error instanceof ValidityRefused) throw problem("malformed", error.message);
    throw error;
  }
  return { notBefore, notAfter };
}

function readTime(value: JsonValue | undefined, name: string): Date | null {
  if (value === undefined || value === null || value === "0001-01-01T00:00:00Z") return null;
  const time = typeof value === "string" ? parseRfc3339(value) : undefined;
  if (time === undefined) throw problem("malformed", `${name} is not an RFC 3339 time`);
  return time;
}

/** Which challenges may prove which identifier: a function of type and wildcard alone, so that nothing weaker slips in (H-26). */
function challengeTypes({ type, value }: Identifier): readonly ChallengeType[] {
  switch (type) {
    case "uri":
      return ["workload-attest-01"];
    case "ip":
      return ["http-01", "tls-alpn-01"]; // RFC 8738 §7: dns-01 cannot prove an address.
    case "dns":
      return value.startsWith("*.") ? ["dns-01"] : ["http-01", "dns-01", "tls-alpn-01"];
  }
}

function newAuthorization(
  identifier: Identifier,
  profile: string,
  orderExpiresAt: Date,
  now: Date,
  context: AcmeContext,
): NewAuthorization {
  const wildcard = identifier.type === "dns" && identifier.value.startsWith("*.");
  const challengeEnds = later(now, context.limits.attestationChallengeSeconds);
  return {
    id: context.newId(),
    identifier: wildcard ? { type: "dns", value: identifier.value.slice(2) } : identifier, // §7.1.4
    wildcard,
    expiresAt: identifier.type === "uri" ? challengeEnds : orderExpiresAt,
    challenges: challengeTypes(identifier).map((type): Challenge => {
      const challenge = { type, token: context.newToken(), status: "pending" } as const;
      if (type !== "workload-attest-01") return challenge;
      const { accept } = context.policy.candidates(identifier.value, profile);
      return {
        ...challenge,
        expires: timestamp(challengeEnds),
        binding: "wa1-sha256",
        audience: context.audience,
        accept,
      };
    }),
  };
}
