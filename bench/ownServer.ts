/** What an issuance costs our own server: CPU of server and Postgres apart, statements, write transactions, memory, and the floor. */
import { readFileSync } from "node:fs";
import path from "node:path";
import { openKeys } from "../src/keys/open.ts";
import { httpsTransport } from "../src/client/http.ts";
import type { ObservedExchange } from "../src/client/session.ts";
import pg from "pg";

import type { Flow } from "./flows.ts";
import { expiredLeft, putExpired } from "./expired.ts";
import { checksPerIssuance, commitsPerIssuance, measureFloor } from "./floor.ts";
import { drive, type Measured, type Plan } from "./load.ts";
import { ownCpuSeconds, residentBytes, treeCpuSeconds } from "./processCpu.ts";
import type { ServerUnderTest } from "./serverUnderTest.ts";

interface Counters {
  readonly serverCpu: number;
  readonly postgresCpu: number;
  readonly clientCpu: number;
  readonly statements: number;
  readonly writes: number;
}

type MakeFlow = (observe: (exchange: ObservedExchange) => void) => Flow;
type Figures = Record<string, number | string>;

export async function measureOwn(
  server: ServerUnderTest,
  plan: Plan,
  flow: MakeFlow,
  expired = 0,
): Promise<{ figures: Figures; steps: Measured["steps"] }> {
  const databaseUrl = embeddedUrl(server);
  if (expired > 0) {
    process.stderr.write(
      `Putting ${expired} expired orders, authorizations and pieces of evidence into the database …\n`,
    );
    await putExpired(databaseUrl, expired);
  }
  const { figures, steps } = await measurePhase(server, plan, flow);
  process.stderr.write("Measuring the floor …\n");
  const left = expired > 0 && { "expired orders not pruned yet": await expiredLeft(databaseUrl) };
  return { figures: { ...figures, ...(await floorFigures(server, databaseUrl, plan)), ...left }, steps };
}

/** One warm-up and one measured part of a flow, without the floor. */
export async function measurePhase(
  server: ServerUnderTest,
  plan: Plan,
  flow: MakeFlow,
): Promise<{ rate: number; figures: Figures; steps: Measured["steps"] }> {
  const databaseUrl = embeddedUrl(server);
  const before = Promise.withResolvers<Counters>();
  process.stderr.write(`Warm-up ${plan.warmUpSeconds} s, then ${plan.seconds} s with ${plan.clients} clients …\n`);
  const measured = await drive(plan, flow, () => before.resolve(counters(server, databaseUrl)));
  const [start, end] = [await before.promise, await counters(server, databaseUrl)];
  const each = (from: number, to: number): number => (to - from) / measured.issued;
  return {
    rate: measured.rate,
    figures: {
      "issuances/s": measured.rate,
      issued: measured.issued,
      failures: measured.failures,
      "server CPU ms each": each(start.serverCpu, end.serverCpu) * 1000,
      "Postgres CPU ms each": each(start.postgresCpu, end.postgresCpu) * 1000,
      "load generator CPU ms each": each(start.clientCpu, end.clientCpu) * 1000,
      "SQL statements each": each(start.statements, end.statements),
      "write transactions each": each(start.writes, end.writes),
      "server RSS MB": residentBytes(server.pid) / 1e6,
    },
    steps: measured.steps,
  };
}

async function floorFigures({ token, dataDir }: ServerUnderTest, databaseUrl: string, plan: Plan): Promise<Figures> {
  const keys = await openKeys(
    token === undefined
      ? {
          provider: "development",
          directory: path.join(dataDir, "keys"),
          passphraseFile: path.join(dataDir, "key-passphrase"),
        }
      : {
          provider: "pkcs11",
          module: token.module,
          token: token.token,
          pinFile: token.pinFile,
          sessions: 8,
          queueLimit: 512,
          timeoutMs: 5000,
        },
  );
  const signer = await keys.find({ label: "mayfly-issuing" });
  if (signer === undefined) throw new Error("the issuing key was not found");
  const floor = await measureFloor(signer, databaseUrl, plan.clients);
  await keys.close();
  return {
    [`floor: ${checksPerIssuance} signature checks, ms`]: floor.verifyMicroseconds / 1000,
    "floor: 1 token signature, ms": floor.signMicroseconds / 1000,
    [`floor: ${commitsPerIssuance} durable commits, ms (${plan.clients} clients)`]: floor.commitMilliseconds,
    "floor: rate by commits alone, 1/s": floor.commitsBoundRate,
  };
}

async function counters(server: ServerUnderTest, databaseUrl: string): Promise<Counters> {
  const cpu = {
    serverCpu: ownCpuSeconds(server.pid),
    postgresCpu: treeCpuSeconds(server.postmasterPid),
    clientCpu: process.cpuUsage().user / 1e6 + process.cpuUsage().system / 1e6,
  };
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  // Only transactions that write are given an id, so the ids count them.
  const { rows } = await client.query<{ xid: string }>("select pg_snapshot_xmax(pg_current_snapshot()) as xid");
  await client.end();
  return { ...cpu, statements: await statementsOf(server), writes: Number(rows[0]?.xid) };
}

async function statementsOf(server: ServerUnderTest): Promise<number> {
  return Number(/^mayfly_sql_statements (\d+)/m.exec(await metricsOf(server))?.[1]);
}

/** The text of `/metrics`. */
export async function metricsOf({ url, root }: ServerUnderTest): Promise<string> {
  const transport = httpsTransport({ trustAnchors: root, userAgent: "mayfly-bench", answerBytesMax: 1_048_576 });
  const answer = await transport.send({ method: "GET", url: `${url}/metrics`, signal: AbortSignal.timeout(5000) });
  transport.close();
  return answer.body.toString();
}

/** The embedded server's address, as the server itself finds it. */
export function embeddedUrl({ dataDir }: ServerUnderTest): string {
  const directory = path.join(dataDir, "postgres");
  const [, , , port, socket] = readFileSync(path.join(directory, "cluster/postmaster.pid"), "utf8").split("\n");
  const password = readFileSync(path.join(directory, "password"), "utf8").trim();
  return `postgres://mayfly:${encodeURIComponent(password)}@/mayfly?host=${encodeURIComponent(socket ?? "")}&port=${port}`;
}
