/** Accounts that do at random what clients do, and what they should not: the actions of the state machine's model. */
import { randomUUID } from "node:crypto";
import path from "node:path";
import { openDevIssuer } from "../../src/development/devIssuer.ts";
import {
  clientKey,
  dns,
  flattened,
  ip,
  uri,
  type AcmeClient,
  type AcmeDriver,
  type Authorization,
  type Identifier,
  type Reply,
} from "../support/acmeDriver.ts";
import {
  audienceOf,
  bindingOf,
  certificateKey,
  leafOf,
  spiffeIdOf,
  type CertificateKey,
  type Http01Target,
} from "../support/acmeFlows.ts";
import type { TestAuthority } from "../support/certificateAuthority.ts";
import { insides, registeredTypes } from "../support/refused.ts";
import type { Random } from "../fuzz/random.ts";
import { holds } from "../fuzz/target.ts";

/** An order as its owner knows it. */
export interface KnownOrder {
  readonly owner: AcmeClient;
  readonly url: string;
  readonly finalize: string;
  readonly authorizations: readonly string[];
  readonly identifiers: readonly Identifier[];
  readonly key: CertificateKey;
  /** Replies of finalize that were 200. */
  finalized: number;
  /** PEM, once somebody read it. */
  chain?: string;
}

export interface World {
  readonly ca: TestAuthority;
  readonly driver: AcmeDriver;
  readonly target: Http01Target;
  readonly accounts: readonly AcmeClient[];
  readonly orders: KnownOrder[];
  /** Authorizations without an order. */
  readonly alone: { readonly owner: AcmeClient; readonly url: string }[];
  /** What was done, for whoever reads a finding. */
  readonly log: string[];
  /** The servers' time. */
  readonly now: () => Date;
  readonly jumpAhead: (hours: number) => void;
}

/** Any reply to anything at all: no 5xx, and refusals are problems of the table. */
export function sane(what: string, reply: Reply): Reply {
  holds(reply.status < 500, `${what}: ${reply.status} ${reply.text}`);
  if (reply.status >= 400) {
    const { type } = JSON.parse(reply.text) as { type: string };
    holds(registeredTypes.has(type) || type.startsWith("urn:mayfly:"), `${what}: ${type}`);
    holds(!insides.test(reply.text), `${what}: ${reply.text}`);
  }
  return reply;
}

type Action = (world: World, random: Random) => Promise<void>;

const names = ["a.localhost", "b.localhost", "c.localhost"];

/** Weight and action. */
const actions: readonly (readonly [number, string, Action])[] = [
  [10, "newOrder", newOrder],
  [3, "newAuthz", newAuthz],
  [3, "order what was proved", orderProved],
  [4, "issue", issue],
  [16, "prove", prove],
  [14, "finalize", finalize],
  [6, "read", read],
  [3, "deactivate authorization", deactivateAuthorization],
  [3, "revoke", revoke],
  [2, "change key", changeKey],
  [3, "as a stranger", asStranger],
  [
    1,
    "update account",
    async ({ accounts }, random) => void (await post(random.pick(accounts), undefined, { contact: [] })),
  ],
];
const total = actions.reduce((sum, [weight]) => sum + weight, 0);

/** One action at random. */
export async function act(world: World, random: Random): Promise<void> {
  if (random.chance(0.004)) return await endAccount(world, random);
  if (random.chance(0.003)) return world.jumpAhead(random.pick([1, 25]));
  let drawn = random.below(total);
  for (const [weight, name, action] of actions) {
    drawn -= weight;
    if (drawn >= 0) continue;
    world.log.push(name);
    return await action(world, random);
  }
}

const post = async (client: AcmeClient, url: string | undefined, payload: unknown): Promise<Reply> =>
  sane(url ?? "account", await client.post(url ?? client.account, payload));

function wanted(random: Random): Identifier[] {
  const kind = random.below(6);
  if (kind === 0) return [uri(spiffeIdOf(randomUUID()))];
  if (kind === 1) return [uri(spiffeIdOf(randomUUID())), dns(random.pick(names))];
  if (kind === 2) return [ip("127.0.0.1")];
  return names.slice(0, 1 + random.below(names.length)).map(dns);
}

async function newOrder({ driver, accounts, orders }: World, random: Random): Promise<void> {
  const owner = random.pick(accounts);
  const identifiers = wanted(random);
  const reply = sane("newOrder", await owner.post(driver.directory.newOrder, { identifiers }));
  if (reply.status !== 201) return;
  orders.push(known(owner, reply, identifiers));
}

function known(owner: AcmeClient, reply: Reply, identifiers: readonly Identifier[]): KnownOrder {
  const made = reply.json() as { finalize: string; authorizations: string[] };
  const url = String(reply.headers.location);
  const { finalize: finalizeUrl, authorizations } = made;
  return { owner, url, finalize: finalizeUrl, authorizations, identifiers, key: certificateKey(), finalized: 0 };
}

async function newAuthz({ driver, accounts, alone }: World, random: Random): Promise<void> {
  const owner = random.pick(accounts);
  const identifier = random.chance(0.8) ? dns(random.pick(names)) : uri(spiffeIdOf(randomUUID()));
  const reply = sane("newAuthz", await owner.post(driver.directory.newAuthz, { identifier }));
  if (reply.status === 201) alone.push({ owner, url: String(reply.headers.location) });
}

/** A name that is proved first, and an order for it that is ready at once, unless others interfere. */
async function orderProved(world: World, random: Random): Promise<void> {
  const { driver, accounts, orders } = world;
  const owner = random.pick(accounts);
  const identifiers = [dns(random.pick(names))];
  const made = sane("newAuthz", await owner.post(driver.directory.newAuthz, { identifier: identifiers[0] }));
  if (made.status !== 201) return;
  const authorization = { ...made.json(), url: String(made.headers.location) } as unknown as Authorization;
  await respond(world, random, { owner, authorization, key: certificateKey(), right: true });
  const reply = sane("newOrder", await owner.post(driver.directory.newOrder, { identifiers }));
  if (reply.status === 201) orders.push(known(owner, reply, identifiers));
}

/** All the way, with everybody else about. */
async function issue(world: World, random: Random): Promise<void> {
  const { driver, accounts, orders } = world;
  const owner = random.pick(accounts);
  const identifiers = wanted(random);
  const reply = sane("newOrder", await owner.post(driver.directory.newOrder, { identifiers }));
  if (reply.status !== 201) return;
  const order = known(owner, reply, identifiers);
  orders.push(order);
  for (const url of order.authorizations) {
    const asked = sane("authorization", await owner.postAsGet(url));
    if (asked.status !== 200) return;
    const authorization = { ...asked.json(), url } as unknown as Authorization;
    await respond(world, random, { owner, authorization, key: order.key, right: true });
  }
  await finalizeOnce(order, order.key, order.identifiers);
}

/** Responds to a challenge of one authorization, rightly or wrongly, once or several times at once. */
async function prove(world: World, random: Random): Promise<void> {
  const { orders, alone } = world;
  if (orders.length === 0) return;
  // Mostly what is new: what is old has been proved or has failed.
  const order = random.pick(orders.slice(-12));
  const single = alone.length > 0 && random.chance(0.3) ? random.pick(alone.slice(-4)) : undefined;
  const owner = single?.owner ?? order.owner;
  const urls = single === undefined ? order.authorizations : [single.url];
  const right = random.chance(0.8);
  for (const url of random.chance(0.7) ? urls : [random.pick(urls)]) {
    const reply = sane("authorization", await owner.postAsGet(url));
    if (reply.status !== 200) return;
    const authorization = { ...reply.json(), url } as unknown as Authorization;
    const times = random.chance(0.2) ? 4 : 1;
    await Promise.all(
      Array.from({ length: times }, () => respond(world, random, { owner, authorization, key: order.key, right })),
    );
  }
}

interface Response {
  readonly owner: AcmeClient;
  readonly authorization: Authorization;
  readonly key: CertificateKey;
  readonly right: boolean;
}

async function respond(
  { ca, target, now }: World,
  random: Random,
  { owner, authorization, key, right }: Response,
): Promise<void> {
  const attestation = authorization.challenges.find(({ type }) => type === "workload-attest-01");
  if (attestation !== undefined) {
    const subject = right ? (authorization.identifier.value.split("/").at(-1) ?? "") : "somebody-else";
    const audience = `${audienceOf(ca)}/${bindingOf(attestation, owner.key, key.spki)}`;
    const issuer = await openDevIssuer(path.join(ca.dataDir, "dev-issuer.jwk"));
    const value = await issuer.mint({ subject, audience, issuer: `${ca.url}/dev`, now: now() });
    await post(owner, attestation.url, { spki: key.spki, evidence: [{ format: "jwt", ref: "dev", value }] });
    return;
  }
  const challenge = random.chance(0.95)
    ? authorization.challenges.find(({ type }) => type === "http-01")
    : random.pick(authorization.challenges);
  if (challenge === undefined) return;
  target.set(challenge.token, right ? `${challenge.token}.${owner.key.thumbprint}` : "wrong");
  await post(owner, challenge.url, {});
}

async function finalize({ orders }: World, random: Random): Promise<void> {
  if (orders.length === 0) return;
  const order = random.pick(orders.slice(-12));
  const times = random.chance(0.3) ? 5 : 1;
  await Promise.all(
    Array.from({ length: times }, async () => {
      const asked = random.chance(0.1) ? [...order.identifiers, dns("z.localhost")] : order.identifiers;
      // With a key of its own now and then: parallel requests for different keys must not both be answered.
      await finalizeOnce(order, random.chance(0.2) ? certificateKey() : order.key, asked);
    }),
  );
}

async function finalizeOnce(order: KnownOrder, key: CertificateKey, asked: readonly Identifier[]): Promise<void> {
  const of = (type: string): string[] => asked.filter((one) => one.type === type).map(({ value }) => value);
  const csr = key.csr({ dns: of("dns"), ip: of("ip"), uri: of("uri") });
  const reply = await post(order.owner, order.finalize, { csr });
  if (reply.status === 200) order.finalized++;
  holds(order.finalized <= 1, `${order.url}: finalize was answered with 200 ${order.finalized} times`);
}

async function read(world: World, random: Random): Promise<void> {
  const { orders } = world;
  if (orders.length === 0) return;
  const order = random.pick(orders);
  const reply = sane("order", await order.owner.postAsGet(order.url));
  if (reply.status !== 200) return;
  const { certificate } = reply.json();
  if (typeof certificate === "string") {
    const chain = sane("certificate", await order.owner.postAsGet(certificate));
    if (chain.status === 200) {
      holds(order.chain === undefined || order.chain === chain.text, `${order.url}: its certificate changed`);
      order.chain = chain.text;
    }
  }
  if (random.chance(0.2)) sane("orders", await order.owner.postAsGet(`${order.owner.account}/orders`));
}

async function deactivateAuthorization({ orders, alone }: World, random: Random): Promise<void> {
  if (orders.length === 0) return;
  const order = random.pick(orders);
  const chosen =
    alone.length > 0 && random.chance(0.3)
      ? random.pick(alone)
      : { owner: order.owner, url: random.pick(order.authorizations) };
  await post(chosen.owner, chosen.url, { status: "deactivated" });
}

async function revoke({ driver, orders, accounts }: World, random: Random): Promise<void> {
  const issued = orders.filter(({ chain }) => chain !== undefined);
  if (issued.length === 0) return;
  const { owner, chain = "" } = random.pick(issued);
  const by = random.chance(0.7) ? owner : random.pick(accounts);
  const payload = { certificate: leafOf(chain), reason: random.pick([0, 1, 4, 5, 7]) };
  const replies = await Promise.all(
    Array.from({ length: random.pick([1, 1, 3]) }, () => post(by, driver.directory.revokeCert, payload)),
  );
  holds(replies.filter(({ status }) => status === 200).length <= 1, "revoked twice");
}

async function changeKey({ driver, accounts }: World, random: Random): Promise<void> {
  const client = random.pick(accounts);
  const [fresh, url] = [clientKey(), driver.directory.keyChange];
  const inner = flattened(
    fresh,
    { alg: fresh.alg, jwk: fresh.jwk, url },
    { account: client.account, oldKey: client.key.jwk },
  );
  const reply = await post(client, url, inner);
  if (reply.status === 200) client.useKey(fresh);
}

/** Everything that is another's answers 404, or the stranger has ended. */
async function asStranger({ orders, accounts, driver }: World, random: Random): Promise<void> {
  if (orders.length === 0) return;
  const order = random.pick(orders);
  const stranger = random.pick(accounts.filter((account) => account !== order.owner));
  const [url, payload] = random.pick<readonly [string, unknown]>([
    [order.url, undefined],
    [order.finalize, { csr: order.key.csr({ dns: ["a.localhost"] }) }],
    [order.authorizations[0] ?? "", { status: "deactivated" }],
    [order.owner.account, { status: "deactivated" }],
    [driver.directory.newAccount, { onlyReturnExisting: true }],
  ]);
  const reply = await post(stranger, url, payload);
  holds(reply.status >= 400, `${url}: another account got ${reply.status}`);
}

async function endAccount({ accounts, log }: World, random: Random): Promise<void> {
  log.push("end account");
  await post(random.pick(accounts), undefined, { status: "deactivated" });
}
