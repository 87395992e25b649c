import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import t from "tap";
import { issuingKey } from "../../src/authority/issuingKey.ts";
import { createReadiness } from "../../src/http/readiness.ts";
import { KeyUnavailable } from "../../src/keys/signer.ts";
import { startEmbeddedPostgres } from "../../src/store/embeddedPostgres.ts";
import { certificateAuthority } from "../support/certificateAuthority.ts";
import { memoryKeys } from "../support/issuers.ts";

const signer = await memoryKeys().generate("issuing", "ec-p256");
const stranger = await memoryKeys().generate("stranger", "ec-p256");
const up = async (): Promise<void> => undefined;

t.test("database and signing key are really tried", async (t) => {
  await t.resolves(createReadiness({ database: up, key: () => issuingKey(signer) })());
  await t.rejects(
    createReadiness({ database: () => Promise.reject(new Error("away")), key: () => issuingKey(signer) })(),
    {
      message: "away",
    },
  );
  const gone = { ...signer, sign: () => Promise.reject(new KeyUnavailable("gone")) };
  await t.rejects(createReadiness({ database: up, key: () => issuingKey(gone) })(), { name: "KeyUnavailable" });
  const wrong = { ...signer, sign: (message: Uint8Array) => stranger.sign(message) };
  await t.rejects(createReadiness({ database: up, key: () => issuingKey(wrong) })(), { name: "SelfTestFailed" });
});

t.test("a clock that is put back keeps no old answer", async (t) => {
  const count = { tried: 0 };
  const database = async (): Promise<void> => void count.tried++;
  const ready = createReadiness({ database, key: () => issuingKey(signer) });
  await ready();
  const { now } = Date;
  t.teardown(() => (Date.now = now));
  Date.now = () => now() - 3_600_000;
  while (count.tried < 2) {
    await ready();
    await pause(50);
  }
  t.equal(count.tried, 2);
});

t.test("at most one signature a second, however often it is asked, and what is signed is no DER", async (t) => {
  const signed: Uint8Array[] = [];
  const counting = {
    ...signer,
    sign: (message: Uint8Array) => {
      signed.push(message);
      return signer.sign(message);
    },
  };
  const ready = createReadiness({ database: up, key: () => issuingKey(counting) });
  await Promise.all(Array.from({ length: 100 }, () => ready()));
  t.equal(signed.length, 1);
  t.not(signed[0]?.[0], 0x30, "no SEQUENCE");
});

t.test("a database that goes away: not ready, alive, 503 with Retry-After; the process lives", async (t) => {
  const directory = mkdtempSync(join(tmpdir(), "mayfly-test-readiness-"));
  const postgres = await startEmbeddedPostgres({ directory, log: () => undefined, durable: false });
  t.teardown(async () => {
    await postgres.stop();
    rmSync(directory, { recursive: true, force: true });
  });
  const ca = await certificateAuthority(t, { databaseUrl: postgres.url });
  const { server } = ca.authority;
  t.equal((await server.inject("/readyz")).statusCode, 200);
  await postgres.stop();
  await new Promise((resolve) => setTimeout(resolve, 1050)); // The answer stands for a second.
  const reply = await server.inject("/readyz");
  t.match(reply, { statusCode: 503, headers: { "content-type": "application/problem+json", "retry-after": "5" } });
  t.notMatch(reply.body, /ECONN|postgres|socket/i);
  t.equal((await server.inject("/healthz")).statusCode, 200);
  const search = await ca.inventory("/certificates");
  t.match(search, { status: 503, body: { detail: "the database is not available right now" } });
});
