import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { loadConfiguration } from "../../src/config/load.ts";
import { sourceFaults } from "../../src/config/sourceFiles.ts";

t.test("files of sources that cannot be used are named with their source; the others say nothing", async (t) => {
  const directory = t.testdir({ "none.json": "{}" });
  const file = join(directory, "mayfly.yaml");
  await writeFile(
    file,
    `attestation:
  sources:
    - { ref: away, format: k8s, issuer: "https://one.example", jwksFile: ${directory}/away.json }
    - { ref: broken, format: jwt, issuer: "https://two.example", jwksFile: ${directory}/none.json }
    - { ref: nodes, format: x509-pop, kind: node, trustBundleFile: ${directory}/nodes.pem }
    - { ref: machines, format: tpm, ekRootsFile: ${directory}/ek.pem }
    - { ref: own, format: x509-pop, kind: own }
    - { ref: fetched, format: jwt, issuer: "https://three.example", jwksUrl: "https://three.example/jwks" }
delegation:
  sources:
    - { ref: idp, issuer: "https://idp.example", jwksFile: ${directory}/idp.json }
`,
  );
  const faults = sourceFaults(loadConfiguration(file, {}));
  t.equal(faults[0], `attestation.sources.away: ${directory}/away.json cannot be read (ENOENT)`);
  t.match(faults[1], /^attestation\.sources\.broken: .*none\.json/);
  t.match(faults[2], /^attestation\.sources\.nodes: trustBundleFile: .*nodes\.pem/);
  t.equal(faults[3], `attestation.sources.machines: ${directory}/ek.pem cannot be read (ENOENT)`);
  t.equal(faults[4], `delegation.sources.idp: ${directory}/idp.json cannot be read (ENOENT)`);
  t.equal(faults.length, 5);
});
