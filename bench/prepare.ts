/**
 * What it costs to make a certificate ready for its signature, and to read and check a request: one thread, nothing but the code itself. Beside
 * them SHA-256 of 1 KiB in the same run, by which two machines, or two minutes of one, can be compared.
 */
import { generateKeyPairSync, hash, randomBytes, type KeyObject } from "node:crypto";

import { lint } from "../src/authority/lint.ts";
import { prepare } from "../src/authority/prepare.ts";
import { readUnverifiedCsr } from "../src/x509/csr.ts";
import { encodeCsr } from "../src/x509/csrWriter.ts";
import { keyOf } from "../src/x509/publicKey.ts";
import { agentOne, authorizedServer, authorizedWorkload } from "../test/support/authorized.ts";
import { memoryHierarchy, serverProfile, workloadProfile } from "../test/support/issuers.ts";

const keyKinds = ["ec-p256", "ec-p384", "ed25519", "rsa"] as const;
type KeyKind = (typeof keyKinds)[number];

function keyPair(kind: KeyKind): KeyObject {
  switch (kind) {
    case "ec-p256":
      return generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
    case "ec-p384":
      return generateKeyPairSync("ec", { namedCurve: "P-384" }).privateKey;
    case "ed25519":
      return generateKeyPairSync("ed25519").privateKey;
    case "rsa":
      return generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey;
  }
}

const warmUps = 3000;
const rounds = 5000;

/** Microseconds of the median round. */
function median(act: () => unknown): number {
  for (let round = 0; round < warmUps; round++) act();
  const times: bigint[] = [];
  for (let round = 0; round < rounds; round++) {
    const start = process.hrtime.bigint();
    act();
    times.push(process.hrtime.bigint() - start);
  }
  times.sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
  return Number(times[rounds >> 1]) / 1000;
}

/** Rows of what is measured: name and microseconds. */
export async function measurePreparation(): Promise<{
  kibibyte: number;
  rows: [name: string, microseconds: number][];
}> {
  const now = new Date();
  const { issuing } = await memoryHierarchy(now);
  const all = { keyKinds: [...keyKinds] };
  const authorized = {
    "SPIFFE ID": authorizedWorkload(workloadProfile(all)),
    "two DNS names, an address, a list and a responder": authorizedServer(
      serverProfile({ ...all, revocation: { shortLivedMaxSeconds: 0, ocsp: true } }),
    ),
  };
  const rows: [string, number][] = [];
  for (const kind of keyKinds) {
    const publicKey = keyOf(keyPair(kind));
    for (const [names, decision] of Object.entries(authorized)) {
      const make = () => lint(prepare(decision, publicKey, issuing, { now, random: randomBytes(14) }));
      rows.push([`certificate, ${kind}: ${names}`, median(make)]);
    }
  }
  for (const kind of keyKinds) {
    const csr = encodeCsr({ key: keyPair(kind), dns: [], ip: [], uri: [agentOne] });
    rows.push([`request, ${kind}`, median(() => readUnverifiedCsr(csr))]);
  }
  const block = randomBytes(1024);
  return { kibibyte: median(() => hash("sha256", block, "buffer")), rows };
}

/** As a table. */
export async function preparationCosts(): Promise<string> {
  const { kibibyte, rows } = await measurePreparation();
  const lines = [["SHA-256 of 1 KiB", kibibyte] as const, ...rows].map(
    ([name, cost]) => `| ${name} | ${cost.toFixed(1)} | ${(cost / kibibyte).toFixed(1)} |`,
  );
  return ["| | µs, median | in SHA-256 of 1 KiB |", "|---|---|---|", ...lines, ""].join("\n");
}
