/** Kill -9 at every step of a rotation: whoever starts next goes on from there, with the same key, and in the end one issuer follows the other. */
import { readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { stringify } from "yaml";

import { acmeDriver } from "../support/acmeDriver.ts";
import { askDatabase } from "../support/processFlows.ts";
import { obtain } from "../support/rotatingServers.ts";
import { rotationCrashServer, type RotationCrashPoint } from "../support/rotationCrashServer.ts";
import { serverPlace, startServer, type ServerProcess } from "../support/serverProcess.ts";

t.setTimeout(300_000); // tap's own 30 seconds are too few for real processes on a busy machine.

const daySeconds = 86_400;
const profile = {
  description: "for a day at most",
  identifiers: ["uri"],
  lifetimeDefaultSeconds: 900,
  lifetimeMinSeconds: 60,
  lifetimeMaxSeconds: daySeconds,
  backdateSeconds: 30,
  keyKinds: ["ec-p256"],
  extendedKeyUsage: ["serverAuth", "clientAuth"],
};

const bare = await serverPlace(t);
const file = join(bare.dataDir, "mayfly.yaml");
await writeFile(
  file,
  stringify({
    attestation: { developmentSource: true },
    issuers: { default: { lifetimeDays: 8, publishedSeconds: 5 } },
    revocation: { crlLifetimeSeconds: 600, crlIntervalSeconds: 60 },
    profiles: { workload: profile },
  }),
);
const place = { ...bare, env: { ...bare.env, MAYFLY_CONFIG: file } };

const start = (point: RotationCrashPoint, aheadSeconds = 0): Promise<ServerProcess> =>
  startServer(t, place, {
    command: [rotationCrashServer],
    env: { MAYFLY_CRASH_AT: point, MAYFLY_CLOCK_AHEAD_SECONDS: String(aheadSeconds) },
  });

/** Issuing CAs as the database has them, and the keys of which there are files. */
async function left(): Promise<{ issuers: string[]; keys: number }> {
  const rows = await askDatabase<{ line: string }>(
    place,
    "select generation || ' ' || state as line from issuer where kind = 'issuing' order by generation",
  );
  const files = await readdir(join(place.dataDir, "keys"));
  return { issuers: rows.map(({ line }) => line), keys: files.filter((name) => !name.includes("root")).length };
}

t.test("before anything: an issuing CA that was made seven days ago and ends tomorrow", async (t) => {
  const server = await start("none", -7 * daySeconds);
  await server.stop();
  const again = await startServer(t, place, {
    command: [rotationCrashServer],
    env: { MAYFLY_CRASH_AT: "none", MAYFLY_CLOCK_AHEAD_SECONDS: String(-6 * daySeconds) },
  });
  t.same(await left(), { issuers: ["1 active"], keys: 1 }, "and nothing is due yet");
  await again.stop();
});

// One rotation, killed at each of its steps in turn.
const steps: readonly { point: RotationCrashPoint; issuers: string[]; keys: number }[] = [
  { point: "before insert", issuers: ["1 active"], keys: 2 },
  { point: "after insert", issuers: ["1 active", "2 prepared"], keys: 2 },
  { point: "before publish", issuers: ["1 active", "2 prepared"], keys: 2 },
  { point: "after publish", issuers: ["1 active", "2 published"], keys: 2 },
  { point: "before activate", issuers: ["1 active", "2 published"], keys: 2 },
  { point: "after activate", issuers: ["1 retiring", "2 active"], keys: 2 },
];

for (const { point, ...expected } of steps) {
  t.test(`killed ${point}`, async (t) => {
    // Many a step is made before the server listens, and it is killed then.
    const ended = await start(point).then(
      (server) => server.ended,
      (error: unknown) => (/ended with null before it listened/.test(String(error)) ? null : error),
    );
    t.equal(ended, null, "the server was killed");
    t.same(await left(), expected);
  });
}

t.test("the next start issues by the new one, and everything was told once", async (t) => {
  const server = await start("none");
  const driver = await acmeDriver(t, server);
  const { chain } = await obtain(place, await driver.account());
  t.match(chain[0]?.subject, /Mayfly Issuing CA 2 /);
  t.same(await left(), { issuers: ["1 retiring", "2 active"], keys: 2 });
  const told = await askDatabase<{ event: string }>(
    place,
    "select event from audit_entry where event like 'issuer.%' and detail->>'kind' = 'issuing' order by id",
  );
  t.same(told.map(({ event }) => event).sort(), [
    "issuer.active",
    "issuer.prepared",
    "issuer.published",
    "issuer.retiring",
  ]);
  await server.stop("SIGKILL");
  // From here on its certificates have ended, that of the listener among them; nobody is there who could move it meanwhile.
  const first = "select id from issuer where generation = 1 and kind = 'issuing'";
  await askDatabase(place, `update certificate set not_after = now() - interval '1 day' where issuer_id in (${first})`);
  await askDatabase(place, `update issuer set retiring_at = now() - interval '1 hour' where id in (${first})`);
});

for (const [point, issuers] of [
  ["before retire", ["1 retiring", "2 active"]],
  ["after retire", ["1 retired", "2 active"]],
] as const) {
  t.test(`killed ${point}, when nothing of the old one counts any more`, async (t) => {
    const ended = await start(point).then(
      (server) => server.ended,
      (error: unknown) => (/ended with null before it listened/.test(String(error)) ? null : error),
    );
    t.equal(ended, null);
    t.same((await left()).issuers, issuers);
  });
}
