/**
 * The floor: what one issuance cannot do without, measured bare in the same run and on the same machine. The same number of signature
 * checks, one signature in the same token, the same number of durable commits with as many clients.
 */
import { generateKeyPairSync, randomBytes, sign, verify } from "node:crypto";
import pg from "pg";

import type { Signer } from "../src/keys/signer.ts";

export interface Floor {
  /** Microseconds for all signature checks of one issuance, one thread. */
  readonly verifyMicroseconds: number;
  /** Microseconds for one token signature with as many in flight as clients. */
  readonly signMicroseconds: number;
  /** Milliseconds of wall time for the commits of one issuance, with as many clients as the benchmark. */
  readonly commitMilliseconds: number;
  /** Issuances per second if commits were all there is. */
  readonly commitsBoundRate: number;
}

const verifications = 2000;
const signatures = 4000;

/** JWS of six POSTs, the evidence, the CSR, the own signature. */
export const checksPerIssuance = 9;
export const commitsPerIssuance = 5;

export async function measureFloor(signer: Signer, databaseUrl: string, clients: number): Promise<Floor> {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const message = randomBytes(600);
  const signature = sign("sha256", message, privateKey);
  const verifyStart = performance.now();
  for (let i = 0; i < verifications; i++)
    if (!verify("sha256", message, publicKey, signature)) throw new Error("does not verify");
  const verifyMicroseconds = ((performance.now() - verifyStart) * 1000 * checksPerIssuance) / verifications;

  const inFlight = (count: number, action: () => Promise<unknown>, total: number): Promise<void[]> => {
    let left = total;
    return Promise.all(
      Array.from({ length: count }, async () => {
        while (left-- > 0) await action();
      }),
    );
  };
  const signStart = performance.now();
  await inFlight(clients, () => signer.sign(message), signatures);
  const signMicroseconds = ((performance.now() - signStart) * 1000) / signatures;

  const pool = new pg.Pool({ connectionString: databaseUrl, max: clients });
  await pool.query(
    "create table if not exists bench_floor (id bigint generated always as identity primary key, payload bytea)",
  );
  const insert = { name: "floor", text: "insert into bench_floor (payload) values ($1)", values: [message] };
  await inFlight(clients, () => pool.query(insert), 200);
  const commits = 4000;
  const commitStart = performance.now();
  await inFlight(clients, () => pool.query(insert), commits);
  const perCommit = (performance.now() - commitStart) / commits;
  await pool.query("drop table bench_floor");
  await pool.end();
  const commitMilliseconds = perCommit * commitsPerIssuance;
  return { verifyMicroseconds, signMicroseconds, commitMilliseconds, commitsBoundRate: 1000 / commitMilliseconds };
}
