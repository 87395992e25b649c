import { rename, rm } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { newId } from "../src/acme/id.ts";
import { openExternalAccounts } from "../src/openExternalAccounts.ts";
import { migratedDatabase } from "./support/database.ts";

t.test(
  "a sealing key that is lost, or another server's, is told to the operator as long as keys need it",
  async (t) => {
    const db = await migratedDatabase(t);
    const dataDir = t.testdir();
    const file = join(dataDir, "external-account-sealing-key");
    const open = async () => {
      const said: unknown[] = [];
      const log = { error: (...entry: unknown[]) => void said.push(entry) };
      const keys = await openExternalAccounts(
        { dataDir, acme: { externalAccountSealingKeyFile: undefined } },
        { db, log },
      );
      return { keys, said };
    };
    const about = { directory: "default", macKey: Buffer.alloc(32, 7), description: null, identifiers: null };
    const key = { ...about, profiles: null, usesMax: 1, expiresAt: null };
    const first = await open();
    t.same(first.said, [], "an empty database needs no key");
    const ids = [newId(new Date()), newId(new Date())] as const;
    for (const id of ids) await first.keys.createKey({ id, ...key });
    t.same((await open()).said, [], "the same file again");

    await rename(file, `${file}.lost`);
    const second = await open();
    t.match(second.said, [[{ keys: 2, file }, /sealed with another key/]]);
    await t.rejects(
      second.keys.findMacKey("default", ids[0]),
      /not sealed with the key in/,
      "a fault of ours, and no refusal",
    );
    await second.keys.createKey({ id: newId(new Date()), ...key });
    await second.keys.revokeKey(ids[0], { deactivateAccounts: false });
    t.match((await open()).said, [[{ keys: 1 }]], "a key that is revoked needs it no more, a new one has the new seal");
    await second.keys.revokeKey(ids[1], { deactivateAccounts: false });
    t.same((await open()).said, []);

    await rm(file);
    await rename(`${file}.lost`, file);
    t.match((await open()).said, [[{ keys: 1 }]], "and with the old file it is the new key that does not open");
  },
);
