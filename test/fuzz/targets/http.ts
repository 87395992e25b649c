/**
 * Requests to a running server: good ones, bent in their payload and then signed, bent as text on the wire, or bent as HTTP. Whatever comes,
 * the server answers in time, a client's fault is no 5xx, and a refusal is a problem that shows nothing of its insides.
 */
import { connect } from "node:tls";
import { acmeDriver, dns, uri, type AcmeClient, type AcmeDriver, type Reply } from "../../support/acmeDriver.ts";
import {
  attested,
  attesting,
  certificateKey,
  issued,
  leafOf,
  spiffeIdOf,
  type Attesting,
} from "../../support/acmeFlows.ts";
import { certificateAuthority, type TestAuthority } from "../../support/certificateAuthority.ts";
import { insides, registeredTypes } from "../../support/refused.ts";
import { base64urlText, bendBytes, bendJson, bendText, jsonText, type Json } from "../mutate.ts";
import { createRandom, type Random } from "../random.ts";
import { holds, Wrong, type Target, type Verdict } from "../target.ts";

/** What a case is, as JSON in the input: where, and with what. */
interface Case {
  readonly kind: "signed" | "body" | "rest" | "operator" | "raw";
  /** Which object of `Ground` it goes to. */
  readonly to: string;
  /** The payload's text, the query, or the octets on the wire in base64url. */
  readonly text: string;
  /** Of the protected header; `undefined` members are left out. */
  readonly header?: Json;
}

interface Ground {
  readonly ca: TestAuthority;
  readonly driver: AcmeDriver;
  readonly alice: AcmeClient;
  readonly urls: Readonly<Record<string, string>>;
  /** The authority that is to be stopped. */
  readonly teardowns: (() => void | Promise<void>)[];
}

let ground: Promise<Ground> | undefined;

async function open(): Promise<Ground> {
  const teardowns: Ground["teardowns"] = [];
  const owner = { teardown: (action: () => void | Promise<void>) => void teardowns.unshift(action) };
  const ca = await certificateAuthority(owner, {
    configuration: { validation: { timeoutMs: 300, attempts: 1, retryDelayMs: 0 } },
  });
  const driver = await acmeDriver(owner, ca);
  const alice = await driver.account();
  const [pending, ready, valid] = [await attesting(ca, alice), await attested(ca, alice), await issued(ca, alice)];
  const named = await alice.newOrder(dns("a.localhost"));
  const authorization = await alice.readAuthorization(named.authorizations[0]);
  const challengeUrl = ({ challenge }: Attesting): string => challenge.url;
  return {
    ca,
    driver,
    alice,
    teardowns,
    urls: {
      ...(driver.directory as unknown as Record<string, string>),
      account: alice.account,
      orders: `${alice.account}/orders`,
      order: pending.order.url,
      finalize: ready.order.finalize,
      authorization: authorization.url,
      challenge: authorization.challenges[0]?.url ?? "",
      attestation: challengeUrl(pending),
      certificate: valid.certificateUrl,
      issued: leafOf(valid.chain),
    },
  };
}

const time = "2026-12-01T00:00:00Z";
const good: Readonly<Record<string, readonly Json[]>> = {
  newAccount: [
    { contact: ["mailto:a@example.com"], termsOfServiceAgreed: true },
    { onlyReturnExisting: true },
    {
      externalAccountBinding: {
        protected: "eyJhbGciOiJIUzI1NiIsImtpZCI6ImEiLCJ1cmwiOiJiIn0",
        payload: "e30",
        signature: "AA",
      },
    },
  ],
  newAuthz: [{ identifier: { ...dns("a.localhost") } }],
  newOrder: [
    { identifiers: [{ ...dns("a.localhost") }, { type: "ip", value: "127.0.0.1" }], notBefore: time, notAfter: time },
    {
      identifiers: [{ ...uri(spiffeIdOf("x")) }],
      profile: "workload",
      replaces: "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE",
    },
  ],
  finalize: [{ csr: certificateKey().csr({ dns: ["a.localhost"] }) }],
  authorization: [{ status: "x" }],
  challenge: [{ keyAuthorization: "x" }],
  attestation: [
    { spki: "A".repeat(43), evidence: [{ format: "jwt", ref: "dev", value: "e30.e30.AA", endorsements: {} }] },
  ],
  account: [{ contact: ["mailto:a@example.com"], externalAccountBinding: {} }],
  revokeCert: [{ certificate: "MIIB", reason: 1 }],
  keyChange: [{ protected: "e30", payload: "e30", signature: "AA" }],
};
const queries = [
  "certificates?limit=10&state=valid&spiffeIdPrefix=spiffe://x&issuedAfter=2026-01-01T00:00:00Z",
  "certificates?dnsName=a.localhost&cursor=WyIyMDI2LTAxLTAxVDAwOjAwOjAwLjAwMFoiLCJhIl0&serial=4f00",
  "certificates/4f00",
  "identities?limit=3",
];
/** What an operator posts, by path. */
const operations: Readonly<Record<string, Json>> = {
  "external-account-keys": {
    uses: 3,
    description: "x",
    identifiers: { dns: ["team.example.org"], ip: ["192.0.2.0/24"] },
    profiles: ["server"],
  },
  incidents: {
    reason: "x",
    certificates: { issuedAfter: "2026-01-01T00:00:00Z", identity: "a.localhost", serials: ["4f00"] },
    explanationUrl: "https://a.example/",
    dryRun: true,
  },
  "blocked-keys": { spkiSha256: "ab".repeat(32), note: "x" },
};
const wire = [
  "POST /acme/new-order HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/jose+json\r\ncontent-length: 2\r\n\r\n{}",
  "GET /acme/directory HTTP/1.1\r\nhost: localhost\r\naccept: text/html\r\n\r\n",
  "POST /acme/new-order HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
  "OPTIONS /acme/order/x HTTP/1.1\r\nhost: localhost\r\norigin: https://a.example\r\naccess-control-request-method: POST\r\n\r\n",
];

function made(random: Random): Case {
  const kind = random.pick(["signed", "signed", "signed", "body", "rest", "operator", "raw"] as const);
  if (kind === "rest") return { kind, to: "", text: bendText(random, random.pick(queries)) };
  if (kind === "operator") {
    const to = random.pick(Object.keys(operations));
    return { kind, to, text: jsonText(random, bendJson(random, operations[to] ?? {}, 1)) };
  }
  if (kind === "raw")
    return { kind, to: "", text: bendBytes(random, Buffer.from(random.pick(wire))).toString("base64url") };
  const to = random.pick(Object.keys(good));
  const payload = jsonText(random, bendJson(random, random.pick(good[to] ?? [{}])));
  const header = random.chance(0.2) ? bendJson(random, { url: "=", extra: "" }, 1) : undefined;
  return { kind, to, text: payload, ...(header !== undefined && { header }) };
}

const replyMsMax = 5_000;

async function judged(reply: Promise<Reply>): Promise<Verdict> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Wrong(`no reply in ${replyMsMax} ms`)), replyMsMax);
  const { status, headers, text } = await Promise.race([reply, late.promise]).finally(() => clearTimeout(timer));
  holds(status < 500, `${status} ${text}`);
  if (status < 400) return "accepted";
  holds(headers["content-type"] === "application/problem+json", `${status} ${headers["content-type"]}`);
  holds(!insides.test(text), `it shows our insides: ${text}`);
  const { type } = JSON.parse(text) as { type: string };
  holds(registeredTypes.has(type) || type.startsWith("urn:mayfly:"), `an unregistered type: ${type}`);
  return "refused";
}

async function feed(
  { kind, to, text, header }: Case,
  { ca, driver, alice, urls }: Ground,
  random: Random,
): Promise<Verdict> {
  if (kind === "raw") return await spoken(ca, Buffer.from(text, "base64url"));
  const authorization = `Bearer ${ca.operatorToken}`;
  if (kind === "operator") {
    const headers = { authorization, "content-type": "application/json" };
    return await judged(driver.request(`${ca.url}/api/v1/${to}`, { method: "POST", headers, body: text }));
  }
  if (kind === "rest") {
    const path = encodeURI(text).replaceAll(/[\s#]/g, "%20");
    return await judged(driver.request(`${ca.url}/api/v1/${path}`, { headers: { authorization } }));
  }
  const url = urls[to] ?? "";
  const payload = to === "revokeCert" && text.includes("MIIB") ? text.replace("MIIB", urls["issued"] ?? "") : text;
  // A good payload could end what the other cases need.
  const harmless =
    payload.includes("deactivated") || (to === "revokeCert" && /"certificate":"[\w-]{200,}"/.test(payload))
      ? `${payload} `
      : payload;
  const members = typeof header === "object" && header !== null && !Array.isArray(header) ? header : {};
  const { url: bentUrl, ...rest } = members;
  const client = to === "newAccount" ? driver.client() : alice;
  return await judged(
    client.post(url, undefined, {
      payload: base64urlText(random, harmless),
      header: { ...rest, ...(bentUrl !== undefined && bentUrl !== "=" && { url: bentUrl }) },
      ...(kind === "body" && { body: (right: string) => bendText(random, right) }),
    }),
  );
}

/** Octets straight into a TLS connection; what comes back, if anything does, is judged by its first line. */
function spoken({ configuration, root }: TestAuthority, octets: Buffer): Promise<Verdict> {
  const { promise, resolve, reject } = Promise.withResolvers<Verdict>();
  const socket = connect(
    { host: "localhost", port: configuration.listenPort, servername: "localhost", ca: root },
    () => {
      socket.end(octets); // Half-closed, so that a request that is not whole ends as well.
    },
  );
  let received = "";
  const timer = setTimeout(() => socket.destroy(), 500); // A request that waits for more is legitimate, and cut off by limits.
  socket.setEncoding("latin1").on("data", (chunk) => (received += String(chunk)));
  socket.on("error", () => undefined);
  socket.on("close", () => {
    clearTimeout(timer);
    const statuses = [...received.matchAll(/^HTTP\/1\.1 (\d{3})/gm)].map(([, status]) => Number(status));
    const failed = statuses.find((status) => status >= 500 && status !== 505);
    if (failed !== undefined) reject(new Wrong(`${failed}: ${received.slice(0, 500)}`));
    else resolve(statuses.some((status) => status < 400) ? "accepted" : "refused");
  });
  return promise;
}

const http: Target = {
  name: "http",
  about: "requests to a running server: payloads, JWS bodies, REST queries, octets on the wire",
  cases: 500,
  slowMs: 6_000,
  make(random) {
    return Buffer.from(JSON.stringify({ ...made(random), chance: random.below(2 ** 32) }));
  },
  async check(input) {
    ground ??= open();
    const { chance, ...fed } = JSON.parse(input.toString("utf8")) as Case & { chance: number };
    return await feed(fed, await ground, createRandom(chance));
  },
  async close() {
    const opened = await ground;
    ground = undefined;
    for (const teardown of opened?.teardowns ?? []) await teardown();
  },
};

export const httpTargets: readonly Target[] = [http];
