/** OCSP: responses per second of one server process, by plain HTTP and by TLS, and what one costs inside. */
import { randomBytes } from "node:crypto";
import net from "node:net";
import tls from "node:tls";
import pg from "pg";

import { certIdOf, type ResponseIssuer } from "../src/authority/revocation/prepareResponse.ts";
import { readCertificate } from "../src/x509/certificate.ts";
import { encodeOcspRequest } from "../src/x509/ocspRequest.ts";
import { readOcspResponse } from "../src/x509/ocspResponse.ts";
import { freePort } from "../test/support/certificateAuthority.ts";
import { ocspGround } from "../test/support/ocspGround.ts";
import { createSignatureBudget } from "../src/authority/revocation/signatureBudget.ts";
import { embeddedUrl } from "./ownServer.ts";
import { ownCpuSeconds, residentBytes } from "./processCpu.ts";
import { startServer, type ServerUnderTest } from "./serverUnderTest.ts";

export interface OcspPlan {
  readonly seconds: number;
  readonly warmUpSeconds: number;
  readonly connections: number;
  readonly certificates: number;
  readonly keys: "softhsm" | "development";
}

type Connect = () => net.Socket;

interface Run {
  readonly answered: number;
  readonly good: number;
  readonly seconds: number;
  /** Milliseconds. */
  readonly p50: number;
  readonly p99: number;
}

/** Prints a table, one line for each way of asking. */
export async function ocspFigures(plan: OcspPlan): Promise<string> {
  const lines = [await inProcess(plan.certificates), ""];
  const plainPort = await freePort();
  // The first round has every response signed; the bound on that is not what is measured.
  const revocation = { listen: `localhost:${plainPort}`, ocspSignaturesPerSecond: 10_000 };
  const server = await startServer(plan.keys, { revocation });
  try {
    const requests = await recorded(server, plan.certificates);
    const port = Number(new URL(server.url).port);
    const plain: Connect = () => net.connect({ host: "localhost", port: plainPort, noDelay: true });
    const secure: Connect = () => tls.connect({ host: "localhost", port, ca: server.root, servername: "localhost" });
    const first = performance.now();
    await everyOnce(requests.map(posted), plain, plan.connections);
    lines.push(
      `${requests.length} responses signed on request: ${((performance.now() - first) / 1000).toFixed(1)} s`,
      "",
    );
    lines.push("way               responses/s   server CPU µs each    p50 ms    p99 ms   RSS MB");
    for (const [name, connect, encode] of [
      ["POST, plain HTTP", plain, posted],
      ["GET, plain HTTP", plain, got],
      ["POST, TLS", secure, posted],
    ] as const) {
      await run(requests.map(encode), connect, { ...plan, seconds: plan.warmUpSeconds });
      const before = ownCpuSeconds(server.pid);
      const { answered, good, seconds, p50, p99 } = await run(requests.map(encode), connect, plan);
      if (good !== answered) throw new Error(`${answered - good} of ${answered} responses were not good`);
      const each = ((ownCpuSeconds(server.pid) - before) / answered) * 1e6;
      lines.push(
        name.padEnd(18) +
          (answered / seconds).toFixed(0).padStart(11) +
          each.toFixed(0).padStart(21) +
          p50.toFixed(1).padStart(10) +
          p99.toFixed(1).padStart(10) +
          (residentBytes(server.pid) / 1e6).toFixed(0).padStart(9),
      );
    }
  } finally {
    await server.stop();
  }
  return `${lines.join("\n")}\n`;
}

/** What is left without HTTP: a request read, its issuer found, its response remembered. */
async function inProcess(certificates: number): Promise<string> {
  const ground = await ocspGround({ cacheBytes: 67_108_864, budget: createSignatureBudget(1e9) });
  const requests = Array.from({ length: certificates }, () => ground.ask(ground.record()));
  for (const request of requests) await ground.responder.answer(request);
  const rounds = Math.ceil(200_000 / certificates);
  const ask = (): void => {
    for (const request of requests)
      if (ground.responder.answer(request) instanceof Promise) throw new Error("forgotten");
  };
  ask();
  const start = process.cpuUsage();
  for (let round = 0; round < rounds; round++) ask();
  const { user, system } = process.cpuUsage(start);
  return `in process, without HTTP: ${((user + system) / (rounds * certificates)).toFixed(1)} µs each`;
}

/** Puts certificates into the database, and resolves to a request for each. */
async function recorded(server: ServerUnderTest, count: number): Promise<Buffer[]> {
  const client = new pg.Client({ connectionString: embeddedUrl(server) });
  await client.connect();
  try {
    const { rows } = await client.query<{ id: string; certificate: Buffer }>(
      "select id, certificate from issuer where kind = 'issuing'",
    );
    const [row] = rows;
    if (row === undefined) throw new Error("there is no issuing CA");
    const { subject, spki, notAfter } = readCertificate(row.certificate);
    const issuer = { id: row.id, subject, notAfter, key: { spki } } as ResponseIssuer;
    const serials = Array.from({ length: count }, () => Buffer.concat([Buffer.from([0x4f]), randomBytes(15)]));
    await client.query(
      `insert into certificate (serial, fingerprint, der, issuer_id, identity_id, door, dns_names, ip_addresses, profile, profile_hash,
                                spki_sha256, not_before, not_after, issued_at)
       select serial, sha256(serial), serial, $2, gen_random_uuid(), 'acme', '{}', '{}', 'bench', sha256(serial), sha256(serial),
              now(), now() + interval '30 days', now()
       from unnest($1::bytea[]) as s(serial)`,
      [serials, row.id],
    );
    await client.query("analyze certificate");
    return serials.map((serial) =>
      encodeOcspRequest({ certIds: [certIdOf(issuer, "sha1", serial)], nonce: undefined }),
    );
  } finally {
    await client.end();
  }
}

const posted = (request: Buffer): Buffer =>
  Buffer.concat([
    Buffer.from(
      `POST /ocsp HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/ocsp-request\r\ncontent-length: ${request.length}\r\n\r\n`,
    ),
    request,
  ]);
const got = (request: Buffer): Buffer =>
  Buffer.from(`GET /ocsp/${encodeURIComponent(request.toString("base64"))} HTTP/1.1\r\nhost: localhost\r\n\r\n`);

/** Every request once, whatever is answered. */
async function everyOnce(requests: readonly Buffer[], connect: Connect, connections: number): Promise<void> {
  let next = 0;
  const clients = Array.from({ length: connections }, () =>
    conversation(
      connect,
      () => requests[next++],
      () => undefined,
    ),
  );
  await Promise.all(clients);
}

/** As many connections as the plan says, each with one request at a time, over certificates by chance. */
async function run(
  requests: readonly Buffer[],
  connect: Connect,
  { seconds, connections }: Pick<OcspPlan, "seconds" | "connections">,
): Promise<Run> {
  const latencies: number[] = [];
  let good = 0;
  const start = performance.now();
  const end = start + seconds * 1000;
  const pick = (): Buffer | undefined =>
    performance.now() < end ? requests[Math.floor(Math.random() * requests.length)] : undefined;
  const clients = Array.from({ length: connections }, () =>
    conversation(connect, pick, (octets, milliseconds) => {
      // Every hundredth is read whole; of the others the length tells a response from an error.
      if (latencies.length % 100 === 0 ? isGood(octets) : octets.length > 100) good++;
      latencies.push(milliseconds);
    }),
  );
  await Promise.all(clients);
  const took = (performance.now() - start) / 1000;
  latencies.sort((a, b) => a - b);
  const at = (share: number): number => latencies[Math.floor(latencies.length * share)] ?? Number.NaN;
  return { answered: latencies.length, good, seconds: took, p50: at(0.5), p99: at(0.99) };
}

function isGood(octets: Buffer): boolean {
  const response = readOcspResponse(octets);
  return response.error === undefined && response.basic.responses[0]?.status === "good";
}

/** One connection: sends what `next` gives, until it gives nothing. */
function conversation(
  connect: Connect,
  next: () => Buffer | undefined,
  onAnswer: (body: Buffer, milliseconds: number) => void,
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const socket = connect();
  let received: Buffer = Buffer.alloc(0);
  let sentAt = 0;
  const send = (): void => {
    const request = next();
    if (request === undefined) {
      socket.end();
      return resolve();
    }
    sentAt = performance.now();
    socket.write(request);
  };
  socket.once(socket instanceof tls.TLSSocket ? "secureConnect" : "connect", send);
  socket.on("error", reject);
  socket.on("data", (chunk: Buffer) => {
    received = received.length === 0 ? chunk : Buffer.concat([received, chunk]);
    const head = received.indexOf("\r\n\r\n");
    if (head < 0) return;
    const length = Number(/\r\ncontent-length: (\d+)/i.exec(received.toString("latin1", 0, head + 2))?.[1]);
    if (!(length >= 0)) return void socket.destroy(new Error(received.toString("latin1", 0, head)));
    if (received.length < head + 4 + length) return;
    const body = received.subarray(head + 4, head + 4 + length);
    received = Buffer.alloc(0);
    onAnswer(body, performance.now() - sentAt);
    send();
  });
  return promise;
}
