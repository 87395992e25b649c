/**
 * Format `tpm` with real TPM 2.0 commands against a software TPM: the shell lines of docs/workload-attest-01.md, as they stand there, against
 * a server in a process of its own.
 */
import { createHash, X509Certificate } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t, { type Test } from "tap";
import { stringify } from "yaml";

import type { EvidenceBinding, EvidenceItem } from "../../src/client/evidence.ts";
import { MayflyClient } from "../../src/client/mayflyClient.ts";
import { request } from "../support/attestingServer.ts";
import { inventoryOf } from "../support/inventoryOf.ts";
import { mayfly, repository } from "../support/program.ts";
import { serverPlace, startServer } from "../support/serverProcess.ts";
import { tpmMachine, tpmMaker, type TpmMachine } from "../support/swtpm.ts";

t.setTimeout(240_000);

const page = await readFile(join(repository, "docs/workload-attest-01.md"), "utf8");
const [prepare = "", activate = "", quote = "", ...more] = [...page.matchAll(/^```sh run tpm\n(.*?)^```$/gms)].map(
  ([, lines = ""]) => lines,
);
t.equal(more.length, 0, "the page has three blocks of shell");

const maker = await tpmMaker(t);
const machine = await tpmMachine(t, maker);
const other = await tpmMachine(t, maker);
await machine.shell(prepare);
await other.shell(prepare);

/** The endorsement key as the server names it. */
async function ekSha256Of({ folder }: TpmMachine): Promise<string> {
  const { publicKey } = new X509Certificate(await readFile(join(folder, "ek.der")));
  return createHash("sha256")
    .update(publicKey.export({ type: "spki", format: "der" }))
    .digest("hex");
}
const akNameOf = async ({ shell }: TpmMachine): Promise<string> =>
  (await shell("tpm2_readpublic -c 0x81010002 -n ak.name >ak.txt; od -An -v -tx1 ak.name | tr -d ' \\n'")).trim();

const place = await serverPlace(t);
const file = (name: string): string => join(place.dataDir, name);
const devices = [{ name: "rack-7", ak: await akNameOf(machine) }];
await writeFile(file("enrolled.json"), JSON.stringify({ devices }));
const zero = "00".repeat(32);
const configuration = {
  trustDomain: "example.org",
  attestation: {
    sources: [
      { ref: "machines", format: "tpm", ekRootsFile: maker.rootFile, pcrs: [{ index: 7, values: [zero] }] },
      { ref: "enrolled", format: "tpm", enrolledKeysFile: file("enrolled.json") },
    ],
  },
  grants: [
    {
      name: "machines",
      spiffeId: "spiffe://example.org/machine/{ekSha256}",
      source: "machines",
      conditions: [{ claim: "model", equals: "swtpm" }],
      minBinding: "nonce",
      profile: "workload",
      recordClaims: ["manufacturer", "pcr7"],
    },
    {
      name: "racks",
      spiffeId: "spiffe://example.org/rack/{deviceName}",
      source: "enrolled",
      minBinding: "nonce",
      profile: "workload",
    },
  ],
};
await writeFile(file("mayfly.yaml"), stringify(configuration));
const server = await startServer(t, place, { command: [mayfly, "serve", "--config", file("mayfly.yaml")] });
const client = (owner: Test): MayflyClient => {
  const made = new MayflyClient({ directoryUrl: server.directoryUrl, root: server.root });
  owner.teardown(() => made.close());
  return made;
};

const activationRequest = async ({ folder }: TpmMachine): Promise<Record<string, string>> =>
  (JSON.parse(await readFile(join(folder, "request.json"), "utf8")) as { activation: Record<string, string> })
    .activation;

/** What a machine does when it is asked for evidence: activation, then a quote. */
const evidenceOf =
  (from: TpmMachine, seen?: EvidenceItem[], lines = { activate, quote }) =>
  async ({ binding, activate: ask }: EvidenceBinding): Promise<readonly EvidenceItem[]> => {
    const activation = await ask(await activationRequest(from));
    await writeFile(join(from.folder, "challenge.json"), JSON.stringify({ activation }));
    await from.shell(lines.activate);
    const value = await from.shell(lines.quote, { MAYFLY_BINDING: binding });
    const secret = await readFile(join(from.folder, "activation.txt"), "utf8");
    const item = { format: "tpm", ref: "machines", value, endorsements: { activation: secret } };
    seen?.push(item);
    return [item];
  };

/** What the client says of the refusal. */
const refusalOf = (issuance: Promise<unknown>): Promise<string> =>
  issuance.then(
    () => "it was accepted",
    (error: unknown) => (error instanceof Error ? error.message : String(error)),
  );

const spiffeId = `spiffe://example.org/machine/${await ekSha256Of(machine)}`;
const shown: EvidenceItem[] = [];

t.test("a machine that nobody has enrolled gets its certificate: credential activation, then a quote", async (t) => {
  const { leaf, serial } = await client(t).request({ spiffeId, evidence: evidenceOf(machine, shown) });
  t.equal(leaf.subjectAltName, `URI:${spiffeId}`);
  const [entry] = await inventoryOf(server, `serial=${serial}`);
  t.match(entry, { evidenceSource: "machines", evidenceFormat: "tpm", bindingLevel: "nonce", rule: "machines" });
});

t.test("another machine cannot use its evidence, nor its endorsement key", async (t) => {
  const [item] = shown;
  if (item === undefined) return t.fail("the first machine has shown nothing");
  const mallory = client(t);
  t.match(await refusalOf(mallory.request({ spiffeId, evidence: [item] })), /No credential .*evidenceInvalid/);
  const withOwnCredential = async ({ activate: ask }: EvidenceBinding): Promise<readonly EvidenceItem[]> => {
    await ask(await activationRequest(other));
    return [item];
  };
  t.match(
    await refusalOf(mallory.request({ spiffeId, evidence: withOwnCredential })),
    /not the secret .*evidenceInvalid/,
  );
  t.match(await refusalOf(mallory.request({ spiffeId, evidence: evidenceOf(other) })), /identityNotDerived/);

  const mixed = async ({ binding, activate: ask }: EvidenceBinding): Promise<readonly EvidenceItem[]> => {
    const [{ ek = "" }, { ak = "", ...rest }] = [await activationRequest(machine), await activationRequest(other)];
    const activation = await ask({ ...rest, ek, ak });
    for (const each of [machine, other]) {
      await writeFile(join(each.folder, "challenge.json"), JSON.stringify({ activation }));
      t.not((await each.attempt(activate)).status, 0, "no TPM reads a credential for the one's key in the other");
      await each.shell("tpm2_flushcontext -l -s -t 2>/dev/null || true");
    }
    const value = await other.shell(quote, { MAYFLY_BINDING: binding });
    const guess = Buffer.alloc(32).toString("base64url");
    return [{ format: "tpm", ref: "machines", value, endorsements: { activation: guess } }];
  };
  t.match(await refusalOf(mallory.request({ spiffeId, evidence: mixed })), /not the secret .*evidenceInvalid/);
});

t.test("the evidence of one challenge is none for the next", async (t) => {
  const replay = async ({ activate: ask }: EvidenceBinding): Promise<readonly EvidenceItem[]> => {
    const activation = await ask(await activationRequest(machine));
    await writeFile(join(machine.folder, "challenge.json"), JSON.stringify({ activation }));
    await machine.shell(activate);
    const secret = await readFile(join(machine.folder, "activation.txt"), "utf8");
    return shown.map((item) => ({ ...item, endorsements: { activation: secret } }));
  };
  t.match(await refusalOf(client(t).request({ spiffeId, evidence: replay })), /bindingMismatch/);
});

t.test("an enrolled machine asks with mayfly request", async (t) => {
  await writeFile(join(machine.folder, "quote.sh"), quote);
  const out = join(machine.folder, "out");
  const tcti = `TPM2TOOLS_TCTI=swtpm:path=${join(machine.folder, "socket")}`;
  const evidence = `exec:cd '${machine.folder}' && ${tcti} sh -e quote.sh`;
  const enrolled = await request(server, "spiffe://example.org/rack/rack-7", evidence, out);
  t.equal(enrolled.stderr, "");
  t.equal(enrolled.status, 0);
  const leaf = new X509Certificate(await readFile(join(out, "cert.pem")));
  t.equal(leaf.subjectAltName, "URI:spiffe://example.org/rack/rack-7");
});

t.test("an endorsement key of P-384, which is used without a session", async (t) => {
  const third = await tpmMachine(t, maker);
  const elsewhere = (lines: string): string =>
    lines
      .replaceAll("0x81010001", "0x81010016")
      .replaceAll("0x1c00002", "0x1c00016")
      .replaceAll(/^tpm2_(startauthsession|policysecret|flushcontext session).*\n/gm, "")
      .replace(" -P session:session.ctx", "");
  await third.shell(elsewhere(prepare));
  const lines = { activate: elsewhere(activate), quote };
  const id = `spiffe://example.org/machine/${await ekSha256Of(third)}`;
  const { leaf } = await client(t).request({ spiffeId: id, evidence: evidenceOf(third, [], lines) });
  t.equal(leaf.subjectAltName, `URI:${id}`);
});

t.test("a machine that was started in another way is refused", async (t) => {
  await machine.shell(`tpm2_pcrextend 7:sha256=${"5e".repeat(32)}`);
  t.match(await refusalOf(client(t).request({ spiffeId, evidence: evidenceOf(machine) })), /measurementMismatch/);
});
