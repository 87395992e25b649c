/** The order and authorization resources (RFC 8555 §7.4, §7.5). */
import { problem } from "../problem/problem.ts";
import { noSuchResource, required, requireValid, signer, type AcmeContext, type AcmeRequest } from "./context.ts";
import { authorizationJson, challengeRetryAfter, orderReply, type Reply } from "./resources.ts";
import { isId } from "./urls.ts";

/** The id in a path parameter; anything that is not in the form of our ids names nothing. */
export function idOf(request: AcmeRequest, parameter: string): string {
  const id = request.parameters[parameter];
  if (id === undefined || !isId(id)) throw noSuchResource();
  return id;
}

/** POST-as-GET on an order (RFC 8555 §7.4). @throws {Problem} notFound (404) when the account has no such order */
export async function readOrder(request: AcmeRequest, { orders, urls, now }: AcmeContext): Promise<Reply> {
  const order = required(await orders.readOrder(signer(request), idOf(request, "order")));
  return orderReply(order, urls, now());
}

/**
 * Reads an authorization, or deactivates it (§7.5.2). A pending one may be deactivated as well: lego does that to clean up.
 * @throws {Problem} notFound · malformed when it has ended otherwise
 */
export async function authorization(request: AcmeRequest, { orders, urls, now }: AcmeContext): Promise<Reply> {
  const owner = signer(request);
  const id = idOf(request, "authorization");
  const { payload } = request;
  if (payload === undefined) {
    const read = required(await orders.readAuthorization(owner, id));
    const processing = read.challenges.find(({ status }) => status === "processing");
    return {
      status: 200,
      headers: { ...(processing && { "retry-after": String(challengeRetryAfter(processing, now())) }) },
      body: authorizationJson(read, urls, now()),
    };
  }
  if (payload["status"] !== "deactivated")
    throw problem("malformed", "the only change to an authorization is status: deactivated");
  const ended = await orders.deactivateAuthorization(owner, id);
  if (ended !== undefined) return { status: 200, body: authorizationJson(ended, urls, now()) };
  const read = await orders.readAuthorization(owner, id);
  requireValid(read.status);
  throw problem("malformed", `the authorization is ${required(read).status}`);
}
