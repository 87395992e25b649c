/**
 * H-29, statement by statement: the connection to the database is lost at each statement of each step, once before PostgreSQL hears of it and
 * once after it was done. The client is told to come back, nothing is half done, and its retry ends where it would have ended anyway.
 */
import { randomUUID } from "node:crypto";
import t, { type Test } from "tap";
import {
  acmeDriver,
  clientKey,
  dns,
  flattened,
  uri,
  type AcmeClient,
  type Order,
  type Reply,
} from "../support/acmeDriver.ts";
import {
  audienceOf,
  bindingOf,
  certificateIdOf,
  certificateKey,
  challengeOf,
  leafOf,
  query,
  spiffeIdOf,
} from "../support/acmeFlows.ts";
import { certificateAuthority } from "../support/certificateAuthority.ts";
import { temporaryPostgres } from "../support/postgres.ts";
import { postgresProxy, type Loss } from "../support/postgresProxy.ts";

t.setTimeout(280_000);

const { url: databaseUrl } = await temporaryPostgres(t);
const proxy = await postgresProxy(t, databaseUrl);
const ca = await certificateAuthority(t, { databaseUrl: proxy.url, configuration: { database: { poolSize: 3 } } });
const driver = await acmeDriver(t, ca);
const { directory } = driver;

interface Journey {
  client: AcmeClient;
  readonly spiffeId: string;
  readonly key: ReturnType<typeof certificateKey>;
  order?: Order;
  chain?: string;
}

interface Step {
  readonly name: string;
  /** Makes the request once. */
  ask(journey: Journey): Promise<Reply>;
  /** True for a reply that a client may go on with, given whether an attempt before was lost. */
  good(reply: Reply, retried: boolean, journey: Journey): boolean;
}

const orderOf = ({ order }: Journey): Order => order ?? ({} as Order);
const json = (reply: Reply): Readonly<Record<string, unknown>> => reply.json();

/** The steps of a certificate's life. Each can be repeated by a client that did not hear what became of it. */
const steps: readonly Step[] = [
  {
    name: "newAccount",
    ask: ({ client }) => client.register({ contact: ["mailto:a@example.com"] }),
    good: ({ status }, retried) => status === 201 || (retried && status === 200),
  },
  {
    name: "account update",
    ask: ({ client }) => client.post(client.account, { contact: ["mailto:b@example.com"] }),
    good: (reply) => reply.status === 200 && reply.text.includes("b@example.com"),
  },
  {
    name: "newAuthz",
    ask: ({ client }) => client.post(directory.newAuthz, { identifier: dns("alone.localhost") }),
    good: ({ status }) => status === 201,
  },
  {
    name: "newOrder",
    ask: ({ client, spiffeId }) => client.post(directory.newOrder, { identifiers: [uri(spiffeId)] }),
    good(reply, _retried, journey) {
      if (reply.status !== 201) return false;
      journey.order = { ...json(reply), url: String(reply.headers.location) } as unknown as Order;
      return true;
    },
  },
  {
    name: "orders",
    ask: ({ client }) => client.postAsGet(`${client.account}/orders`),
    good: (reply, _retried, journey) => reply.status === 200 && reply.text.includes(orderOf(journey).url),
  },
  {
    name: "authorization",
    ask: ({ client, order }) => client.postAsGet(order?.authorizations[0] ?? ""),
    good: ({ status }) => status === 200,
  },
  { name: "challenge", ask: (journey) => answer(journey), good: (reply) => json(reply)["status"] === "valid" },
  {
    name: "finalize",
    ask: ({ client, order, key, spiffeId }) =>
      client.post(order?.finalize ?? "", { csr: key.csr({ uri: [spiffeId] }) }),
    // A lost one may have taken the order out of `ready`: then the order is where the client looks next.
    good: (reply, retried) =>
      ["valid", "processing"].includes(String(json(reply)["status"])) || (retried && reply.status === 403),
  },
  {
    name: "order",
    ask: ({ client, order }) => client.postAsGet(order?.url ?? ""),
    good: (reply) => json(reply)["status"] === "valid",
  },
  {
    name: "certificate",
    ask: async ({ client, order }) => {
      const read = await client.postAsGet(order?.url ?? "");
      return read.status === 200 ? client.postAsGet(String(json(read)["certificate"])) : read;
    },
    good(reply, _retried, journey) {
      journey.chain = reply.text;
      return reply.status === 200 && reply.text.startsWith("-----BEGIN CERTIFICATE-----");
    },
  },
  {
    name: "newOrder that replaces",
    ask: ({ client, spiffeId, chain = "" }) =>
      client.post(directory.newOrder, { identifiers: [uri(spiffeId)], replaces: certificateIdOf(chain) }),
    good: ({ status }, retried) => status === 201 || (retried && status === 409), // The order that was not heard of replaces it.
  },
  {
    name: "revokeCert",
    ask: ({ client, chain = "" }) => client.post(directory.revokeCert, { certificate: leafOf(chain) }),
    good: (reply, retried) => reply.status === 200 || (retried && reply.text.includes("alreadyRevoked")),
  },
  {
    name: "authorization deactivated",
    ask: async ({ client }) => {
      const made = await client.post(directory.newAuthz, { identifier: dns("gone.localhost") });
      return made.status === 201 ? client.post(String(made.headers.location), { status: "deactivated" }) : made;
    },
    good: (reply) => json(reply)["status"] === "deactivated",
  },
  { name: "keyChange", ask: (journey) => changeKey(journey), good: ({ status }) => status === 200 },
  {
    name: "account deactivated",
    ask: ({ client }) => client.post(client.account, { status: "deactivated" }),
    good: (reply, retried) => json(reply)["status"] === "deactivated" || (retried && reply.status === 401),
  },
];

async function answer({ client, order, key, spiffeId }: Journey): Promise<Reply> {
  const read = await client.postAsGet(order?.authorizations[0] ?? "");
  if (read.status !== 200) return read;
  const challenge = challengeOf(read.json() as never, "workload-attest-01");
  const audience = `${audienceOf(ca)}/${bindingOf(challenge, client.key, key.spki)}`;
  const value = await ca.devToken(spiffeId.split("/").at(-1) ?? "", audience);
  return client.post(challenge.url, { spki: key.spki, evidence: [{ format: "jwt", ref: "dev", value }] });
}

/** A client that did not hear whether its key changed asks with the new one. */
async function changeKey(journey: Journey): Promise<Reply> {
  const { client } = journey;
  const fresh = clientKey();
  const url = directory.keyChange;
  const inner = flattened(
    fresh,
    { alg: fresh.alg, jwk: fresh.jwk, url },
    { account: client.account, oldKey: client.key.jwk },
  );
  const reply = await client.post(url, inner);
  if (reply.status >= 500) {
    const asked = await driver.client(fresh).register({ onlyReturnExisting: true });
    if (asked.status !== 200) return reply;
  }
  client.useKey(fresh);
  return reply.status >= 500 ? client.postAsGet(client.account) : reply;
}

/** The whole life; every refusal must be one that says "later", and only if something was lost. */
async function travel(t: Test, onStep: (name: string) => void = () => undefined): Promise<Journey> {
  const journey: Journey = { client: driver.client(), spiffeId: spiffeIdOf(randomUUID()), key: certificateKey() };
  for (const step of steps) {
    let retried = false;
    let reply = await step.ask(journey);
    for (let round = 0; round < 100 && !step.good(reply, retried, journey); round++) {
      if (reply.status >= 500) {
        t.match(reply.json()["type"], "urn:ietf:params:acme:error:serverInternal", step.name);
        t.equal(reply.status, 503, `${step.name}: 503`);
        t.match(reply.headers["retry-after"], /^\d+$/, `${step.name}: says when to come back`);
        t.match(reply.headers["replay-nonce"], /./, `${step.name}: with a nonce for it`);
      } else if (json(reply)["status"] !== "processing") {
        t.fail(`${step.name}: ${reply.status} ${reply.text}`);
        break;
      } else await new Promise((resolve) => setTimeout(resolve, 200)); // The settling job finishes it.
      retried = true;
      reply = await step.ask(journey);
    }
    t.ok(step.good(reply, retried, journey), `${step.name}: ${reply.status} ${reply.text.slice(0, 200)}`);
    onStep(step.name);
  }
  return journey;
}

/** The end is the same whatever was lost: one certificate, revoked; nothing left in the middle. */
async function holds(t: Test, { spiffeId, client, order }: Journey): Promise<void> {
  const { body } = await ca.inventory(`/certificates?spiffeId=${encodeURIComponent(spiffeId)}`);
  const found = body["certificates"] as { state: string }[];
  t.equal(found.length, 1, "one certificate in the inventory");
  t.equal(found[0]?.state, "revoked");
  const direct = (text: string, values: unknown[] = []) => query({ ...ca, databaseUrl }, text, values);
  const id = client.account.split("/").at(-1);
  t.same(await direct("select status from account where id = $1", [id]), [{ status: "deactivated" }]);
  const orders = await direct("select id, status from acme_order where account_id = $1", [id]);
  t.ok(
    orders.every((row) => row["status"] === (row["id"] === order?.url.split("/").at(-1) ? "valid" : "invalid")),
    "no order is left open",
  );
  const [counted] = await direct(
    `select (select count(*) from issuance_intent i join acme_order o on o.id = i.order_id where o.account_id = $1)::int as intents`,
    [id],
  );
  t.ok(Number(counted?.["intents"]) <= 1);
}

/** The names of the steps' statements, in order, without those of jobs that run meanwhile. */
async function statementsOf(t: Test): Promise<Map<string, readonly string[]>> {
  const jobs = new Set<string>();
  proxy.seen();
  await new Promise((resolve) => setTimeout(resolve, 6_500)); // Each frequent job has run.
  for (const name of proxy.seen()) jobs.add(name);
  const byStep = new Map<string, readonly string[]>();
  const journey = await travel(t, (name) =>
    byStep.set(
      name,
      proxy.seen().filter((one) => !jobs.has(one)),
    ),
  );
  await holds(t, journey);
  return byStep;
}

t.test("H-29 the connection is lost at each statement of each step, unheard and unanswered", async (t) => {
  const byStep = await statementsOf(t);
  for (const { name } of steps) t.ok((byStep.get(name) ?? []).length > 0, `${name}: ${byStep.get(name)?.join(" ")}`);
  const names = [...new Set([...byStep.values()].flat())];
  t.ok(names.length >= 12, `${names.length} statements`);
  for (const name of names) {
    for (const loss of ["unheard", "unanswered"] as const satisfies readonly Loss[]) {
      t.test(`${name} ${loss}`, async (t) => {
        proxy.lose(name, loss);
        const journey = await travel(t);
        t.ok(proxy.lost(), "the connection was lost on the way");
        await holds(t, journey);
      });
    }
  }
});
