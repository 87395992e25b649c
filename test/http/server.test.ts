import { once } from "node:events";
import { connect } from "node:net";
import t, { type Test } from "tap";
import { createServer } from "../../src/http/server.ts";
import { KeyUnavailable } from "../../src/keys/signer.ts";
import { problem } from "../../src/problem/problem.ts";
import { portOf } from "../support/dnsServer.ts";

const secret = "select pin from token where password = 'hunter2'";
const requests: { route: string; method: string; status: number }[] = [];
const server = createServer({
  tls: undefined,
  logLevel: "silent",
  bodyLimit: 100,
  maxConnections: 100,
  trustedProxies: [],
  onRequestDone: ({ route, method, status }) => requests.push({ route, method, status }),
});
server.get("/thing/:id", async () => "a thing");
server.post("/thing/:id", async () => "made");
server.delete("/nowhere", async () => "");
server.get("/refused", async () => {
  throw problem("rateLimited", "not so fast", { retryAfterSeconds: 7, headers: { link: "<https://docs.test>" } });
});
const thrown: Record<string, unknown> = {
  error: new Error(secret, { cause: new Error(secret) }),
  database: Object.assign(new Error(secret), { code: "42P01", detail: secret, statusCode: 500 }),
  text: secret,
  nothing: undefined,
  null: null,
  object: { message: secret, stack: secret },
  status: Object.assign(new Error(secret), { statusCode: 418 }),
  key: new KeyUnavailable(secret),
};
for (const [name, value] of Object.entries(thrown)) {
  server.get(`/throws/${name}`, async () => {
    throw value;
  });
}
await server.listen({ host: "127.0.0.1", port: 0 });
t.teardown(() => server.close());

interface Reply {
  readonly statusCode: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: string;
}

function isProblem(test: Test, { statusCode, headers, body }: Reply, status: number): void {
  test.equal(statusCode, status, body);
  test.equal(headers["content-type"], "application/problem+json");
  const document = JSON.parse(body) as Record<string, unknown>;
  test.same(Object.keys(document).sort(), ["detail", "status", "title", "type"]);
  test.equal(document["status"], status);
  test.notMatch(body, /select|hunter2|node_modules|\.ts|at \w+ \(/);
}

/** Sends octets as they are, and reads until the server closes. */
async function exchange(octets: string): Promise<Reply> {
  const socket = connect(portOf(server.server), "127.0.0.1");
  const chunks: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  socket.on("error", () => undefined);
  socket.write(octets);
  await once(socket, "close");
  const [head = "", body = ""] = Buffer.concat(chunks).toString().split("\r\n\r\n");
  const [line = "", ...fields] = head.split("\r\n");
  const headers = Object.fromEntries(fields.map((field) => field.toLowerCase().split(": ", 2) as [string, string]));
  return { statusCode: Number(line.split(" ")[1]), headers, body };
}

t.test("paths and methods that are not there", async (t) => {
  isProblem(t, await server.inject("/none"), 404);
  isProblem(t, await server.inject("/thing/1/2"), 404);
  isProblem(t, await server.inject("/thing/1/"), 404);
  isProblem(t, await server.inject("/Thing/1"), 404);
  isProblem(
    t,
    await server.inject({ method: "POST", url: "/none", payload: "x", headers: { "content-type": "a/b" } }),
    404,
  );
  for (const method of ["PUT", "PATCH", "DELETE", "OPTIONS"] as const) {
    const reply = await server.inject({ method, url: "/thing/1?x=/nowhere" });
    isProblem(t, reply, 405);
    t.equal(reply.headers["allow"], "GET, HEAD, POST", method);
  }
  const reply = await server.inject({
    method: "POST",
    url: "/nowhere",
    payload: "{",
    headers: { "content-type": "application/json" },
  });
  isProblem(t, reply, 405);
  t.equal(reply.headers["allow"], "DELETE", "before a body is read");
});

t.test("bodies that are too large, of a type that is not taken, or broken", async (t) => {
  const post = (payload: string, type: string) =>
    server.inject({ method: "POST", url: "/thing/1", payload, headers: { "content-type": type } });
  isProblem(t, await post(JSON.stringify("x".repeat(100)), "application/json"), 413);
  isProblem(t, await post("a=b", "application/x-www-form-urlencoded"), 415);
  isProblem(t, await post("a", "not a type"), 415);
  isProblem(t, await post("{", "application/json"), 400);
  isProblem(t, await post("", "application/json"), 400);
  isProblem(t, await post('{"__proto__":1}', "application/json"), 400);
  t.equal((await post("{}", "application/json")).statusCode, 200);
});

t.test("URLs that cannot be decoded, or are longer than any of ours", async (t) => {
  for (const url of ["/%zz", "/thing/%", "/thing/%ff", `/thing/${"x".repeat(201)}`])
    isProblem(t, await server.inject(url), 400);
});

t.test("what is not a request: 400, 431 and the connection is closed", async (t) => {
  isProblem(t, await exchange("hello\r\n\r\n"), 400);
  isProblem(t, await exchange("GET / HTTP/9.9\r\n\r\n"), 400);
  t.equal(
    (await exchange("GET / HTTP/1.1\r\n\r\n")).statusCode,
    400,
    "without Host (RFC 9112 §3.2): Node's own answer",
  );
  isProblem(
    t,
    await exchange("POST /thing/1 HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
    400,
  );
  isProblem(
    t,
    await exchange(
      "POST /thing/1 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    ),
    400,
  );
  isProblem(t, await exchange(`GET / HTTP/1.1\r\nHost: x\r\nX: ${"x".repeat(20_000)}\r\n\r\n`), 431);
  t.equal((await server.inject("/thing/1")).statusCode, 200, "and the server goes on");
});

t.test("errors of our own: 500 or 503, without a word of what happened", async (t) => {
  for (const name of Object.keys(thrown)) {
    const reply = await server.inject(`/throws/${name}`);
    isProblem(t, reply, name === "key" ? 503 : name === "status" ? 418 : 500);
    t.equal(reply.headers["retry-after"], name === "key" ? "5" : undefined);
  }
});

t.test("a refusal is sent as it is, with its headers", async (t) => {
  const reply = await server.inject("/refused");
  isProblem(t, reply, 429);
  t.match(reply.json(), { type: "urn:ietf:params:acme:error:rateLimited", detail: "not so fast" });
  t.match(reply.headers, { "retry-after": "7", link: ["<https://docs.test>"] });
});

t.test("every reply forbids sniffing; requests are counted by route, never by URL", async (t) => {
  requests.length = 0;
  for (const url of ["/thing/secret-id", "/none/secret-id", "/throws/error"]) {
    t.match((await server.inject(url)).headers, {
      "x-content-type-options": "nosniff",
    });
  }
  t.same(requests, [
    { route: "/thing/:id", method: "GET", status: 200 },
    { route: "none", method: "GET", status: 404 },
    { route: "/throws/error", method: "GET", status: 500 },
  ]);
});
