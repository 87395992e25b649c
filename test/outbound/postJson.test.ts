import type { IncomingMessage } from "node:http";
import t from "tap";
import { createPostJson, type PostOptions } from "../../src/outbound/fetchBody.ts";
import { addressesAre, httpTarget, testOutbound } from "../support/validationTargets.ts";

const options: PostOptions = { maxBytes: 100, timeoutMs: 400, json: '{"a":"é"}', authorization: "Bearer s3cret" };
const post = createPostJson(testOutbound({}), "Mayfly-test/1");
const failure = (problem: string, message: RegExp) => ({ name: "OutboundFailure", problem, message });

t.test("a request with its text and credential, and any answer but a redirect", async (t) => {
  let asked: Pick<IncomingMessage, "method" | "url" | "headers"> | undefined;
  let body = "";
  const port = await httpTarget(t, (request, response) => {
    asked = request;
    request.on("data", (chunk: Buffer) => (body += chunk.toString()));
    request.on("end", () => response.writeHead(403).end("no"));
  });
  const origin = `http://127.0.0.1:${port}`;
  t.strictSame(await post(origin, "/apis/x?y=1", options), { status: 403, body: Buffer.from("no") });
  t.match(asked, {
    method: "POST",
    url: "/apis/x?y=1",
    headers: {
      authorization: "Bearer s3cret",
      "content-type": "application/json",
      "content-length": "10",
      accept: "application/json",
      "user-agent": "Mayfly-test/1",
      connection: "close",
    },
  });
  t.equal(body, options.json);
});

t.test("H-10b no path leads away from the origin", async (t) => {
  let requests = 0;
  const port = await httpTarget(t, () => (requests += 1));
  const origin = `http://127.0.0.1:${port}`;
  const elsewhere = [
    `http://localhost:${port}/`,
    `//localhost:${port}/`,
    `http://user@127.0.0.1:${port}/`,
    "\\\\localhost/x",
  ];
  for (const path of elsewhere)
    await t.rejects(post(origin, path, options), failure("forbidden", /leads away|not an https URL/), path);
  await t.rejects(post(`${origin}/`, "/x", options), failure("forbidden", /leads away/), "an origin has no path");
  await t.rejects(post("http://10.0.0.1", "/x", options), failure("forbidden", /not an https URL/));
  t.equal(requests, 0);
});

t.test("H-12 redirects, bodies without end, silence; and the address policy", async (t) => {
  let redirected = 0;
  const port = await httpTarget(t, (request, response) => {
    if (request.url === "/elsewhere") redirected += 1;
    else if (request.url === "/redirect") response.writeHead(307, { location: "/elsewhere" }).end();
    else if (request.url === "/huge") response.end("x".repeat(101));
  });
  const origin = `http://127.0.0.1:${port}`;
  await t.rejects(post(origin, "/redirect", options), failure("answer", /redirects \(status 307\)/));
  await t.rejects(post(origin, "/huge", options), failure("answer", /more than 100 bytes/));
  await t.rejects(post(origin, "/silent", options), failure("connection", /within 400 ms/));
  t.equal(redirected, 0);
  const dns = await addressesAre(t, "169.254.169.254");
  const guarded = createPostJson(testOutbound({ dnsResolver: dns.address }), "Mayfly-test/1");
  await t.rejects(guarded("https://api.example", "/x", options), failure("forbidden", /no address/));
});
