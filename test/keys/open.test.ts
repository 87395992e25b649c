import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { openKeys } from "../../src/keys/open.ts";
import { softhsmToken } from "../support/softhsm.ts";

t.test("the configuration says where the keys are", async (t) => {
  const root = mkdtempSync(join(tmpdir(), "mayfly-keys-"));
  t.teardown(() => rmSync(root, { recursive: true }));
  const directory = join(root, "keys");
  const development = await openKeys({ provider: "development", directory, passphraseFile: join(root, "passphrase") });
  t.equal(development.description, `development key files in ${directory}`);
  t.equal(development.development, true);

  const { module, token, pinFile } = softhsmToken(t);
  const hardware = await openKeys({ provider: "pkcs11", module, token, pinFile, queueLimit: 10, timeoutMs: 5000 });
  t.teardown(() => hardware.close());
  t.equal(hardware.description, "PKCS#11 token mayfly (SoftHSM v2)");
  t.equal(hardware.development, false);
});
