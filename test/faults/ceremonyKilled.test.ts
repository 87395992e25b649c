/**
 * `mayfly ceremony` killed (SIGKILL) at each of its acts, one after the other on one machine: whatever was done stays done, the next run goes on from
 * there, and nobody has to clean up.
 */
import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import t from "tap";
import { stringify } from "yaml";

import { openKeys } from "../../src/keys/open.ts";
import { ceremonyMachine, firstSteps, issueOne, opensslChain } from "../support/ceremonyGround.ts";
import { opensslVerify } from "../support/opensslVerify.ts";
import { askDatabase } from "../support/processFlows.ts";
import { repository, runMayfly } from "../support/program.ts";

t.setTimeout(600_000);

/** In the order in which a ceremony comes to them; `done:` is the line behind a step that was carried out, `[^]*` where lines lie in between. */
const points = [
  /^append .*Ceremony killed/, // Before anything.
  /^append .*makes the key mayfly-issuing-root /,
  /^append .*signs with the key mayfly-issuing-root: serial/, // The key is made.
  /^write \.mayfly-[0-9a-f]+\.part/, // The certificate is signed, and in no file.
  /^link root\.pem/,
  /^linked root\.pem/,
  /^append .*makes the key mayfly-issuing \(/,
  /^append .*signs with the key mayfly-issuing: a request/,
  /^write \.mayfly-[0-9a-f]+\.part/, // The issuer waits in the database, and its request is in no file.
  /^link issuing\.csr/,
  /^linked issuing\.csr/,
  /^append .*signs with the key mayfly-issuing-root: serial/,
  /^write \.mayfly-[0-9a-f]+\.part/,
  /^link issuing\.pem/,
  /^linked issuing\.pem/,
  /^append .* agreed to by --yes/, // Before the certificate is brought in,
  /^append .* done:/, // and after.
  /^append .* agreed to by --yes/,
  /^append .* done:/, // The issuer is active.
  /^append SHA-256 of all lines above/,
];

const preload = pathToFileURL(join(repository, "test/support/killedAt.ts")).href;

t.test("killed at every act, and held again", async (t) => {
  const machine = await ceremonyMachine(t);
  const { makeRoot, requestIssuing, signIssuing, importCertificate, activate } = firstSteps;
  const steps = [makeRoot, requestIssuing, signIssuing, importCertificate, activate];
  const file = machine.file("killed.yaml");
  await writeFile(file, stringify({ name: "killed", steps }));
  const hold = (env: Readonly<Record<string, string>>) =>
    runMayfly(["ceremony", "--file", file, "--yes"], { env: { ...machine.env, ...env } });

  for (const point of points) {
    const { status, stderr } = await hold({ NODE_OPTIONS: `--import=${preload}`, MAYFLY_KILL_AT: point.source });
    t.equal(status, null, `${point.source}: ${stderr}`);
    for (const name of ["root.pem", "issuing.csr", "issuing.pem"])
      t.notMatch(textOf(machine.file(name)), /^$|[^\n]$/, `${name} is there whole, or not at all`);
  }
  const last = await hold({});
  t.equal(last.status, 0, last.stderr);
  t.equal(last.stdout.match(/was done before/g)?.length, steps.length);
  t.match(machine.transcript("killed"), /NOTE +the run before was cut off/);

  const keys = await openKeys({ provider: "pkcs11", ...machine.token, queueLimit: 8, timeoutMs: 5000 });
  t.teardown(() => keys.close());
  for (const label of ["mayfly-issuing-root", "mayfly-issuing"])
    t.equal((await keys.find({ label }))?.label, label, "one key of the label: of two, neither would be found");
  t.match(await opensslChain(machine.file("root.pem"), [], machine.file("issuing.pem")), /: OK/);
  const { chain } = await issueOne(t, machine);
  await opensslVerify(machine.file("root.pem"), chain);
  t.same(await askDatabase(machine.place, "select kind, state, generation from issuer order by kind desc"), [
    { kind: "root", state: "active", generation: 1 },
    { kind: "issuing", state: "active", generation: 1 },
  ]);
});

/** A line of its own where there is no such file. */
function textOf(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "nothing\n";
  }
}
