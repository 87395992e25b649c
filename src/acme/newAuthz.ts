/** newAuthz: pre-authorization (RFC 8555 §7.4.1, for the names below one RFC 9444 §4.2). An order takes it up later. */
import { Problem, problem } from "../problem/problem.ts";
import { readDelegation } from "./delegation.ts";
import { signer, stateIsChanging, type AcmeContext, type AcmeRequest } from "./context.ts";
import { readIdentifiers } from "./identifiers.ts";
import { isJsonObject, type JsonObject } from "../encoding/json.ts";
import { countedUnlessOurs, limitAuthorization } from "./limits/orderLimits.ts";
import { later, newAuthorization, type Wanted } from "./newAuthorization.ts";
import type { Authorization } from "./ports.ts";
import { chooseProfile } from "./profileChoice.ts";
import { authorizationJson, type Reply } from "./resources.ts";
import { allowedProfiles, requireAllowed } from "./restrictions.ts";
import { requireAgreed } from "./termsOfService.ts";

/**
 * Makes an authorization that belongs to no order yet. `profile` may be named as in newOrder; it matters for a `uri`.
 * @throws {Problem} malformed · rejectedIdentifier and unsupportedIdentifier with status 403 (§7.4.1) · rateLimited · userActionRequired ·
 *   unauthorized (401)
 */
export async function newAuthz(request: AcmeRequest, context: AcmeContext): Promise<Reply> {
  const account = signer(request);
  const { payload = {} } = request;
  const wanted = readWanted(payload, context);
  const profiles = allowedProfiles(account.restrictions, context.profiles);
  const delegation = await readDelegation(payload["delegation"], account, [wanted.identifier], context);
  const profile = unwillingAs403(() => {
    requireAllowed(account.restrictions, [wanted.identifier]);
    return chooseProfile(payload["profile"], [wanted.identifier], {
      policy: context.policy,
      profiles,
      delegatedBy: delegation?.source,
    });
  });
  const now = context.now();
  const expiresAt = later(now, context.limits.orderLifetimeSeconds);
  const made = newAuthorization(wanted, { profile: profile.name, expiresAt, now, delegation }, context);
  const counted = limitAuthorization(context.rateLimits, account, made);
  const terms = { profile: profile.name, termsOfService: context.termsOfService };
  await countedUnlessOurs(counted, async () => {
    const create = () => context.orders.createAuthorization(account, made, terms);
    if (await create()) return;
    await requireAgreed(context, account);
    if (!(await create())) throw stateIsChanging(); // What stood in the way has passed meanwhile, and something else has come.
  });
  const authorization: Authorization = {
    ...made,
    orderId: null,
    profile: profile.name,
    status: "pending",
    attestation: null,
  };
  return {
    status: 201,
    headers: { location: context.urls.authorization(made.id) },
    body: authorizationJson(authorization, context.urls, now),
  };
}

function readWanted({ identifier: asked, ...payload }: JsonObject, context: AcmeContext): Wanted {
  const [requested] = unwillingAs403(() => readIdentifiers([asked ?? null], context));
  if (requested === undefined) throw problem("malformed", "identifier is missing");
  const { type, value } = requested;
  // The authorization would be for the base name; there is no way to say that it is meant for a wildcard.
  if (type === "dns" && value.startsWith("*.")) throw problem("malformed", "a wildcard cannot be pre-authorized");
  const inside = isJsonObject(asked) ? asked["subdomainAuthAllowed"] : undefined;
  const below = (inside ?? payload["subdomainAuthAllowed"]) === true;
  // Where it is not allowed, the authorization is for the name alone, and says so (RFC 9444 §4.2).
  return {
    identifier: { type, value },
    subdomains: below && type === "dns" && context.options.subdomainAuthorizations,
  };
}

/** §7.4.1: a server that is not willing to certify the identifier answers 403, with the reason as its type. */
function unwillingAs403<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof Problem && (error.code === "rejectedIdentifier" || error.code === "unsupportedIdentifier")) {
      throw problem(error.code, error.message, { ...error.options, status: 403 });
    }
    throw error;
  }
}
