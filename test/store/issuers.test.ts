import t from "tap";
import { newId } from "../../src/acme/id.ts";
import type { NewIssuer } from "../../src/authority/ports.ts";
import { createIssuerStore } from "../../src/store/issuers.ts";
import { migratedDatabase, query } from "../support/database.ts";
import { sha256 } from "../support/issuers.ts";

const db = await migratedDatabase(t);
const store = createIssuerStore(db);

function issuer(kind: NewIssuer["kind"], changes: Partial<NewIssuer> = {}): NewIssuer {
  const id = newId(new Date());
  return {
    id,
    kind,
    name: "default",
    generation: 1,
    state: "active",
    certificate: Buffer.from(id),
    request: null,
    keyLabel: kind,
    signatureAlgorithm: "ecdsa-p256-sha256",
    parentId: null,
    crlShards: 16,
    notAfter: new Date(Date.now() + 86_400_000),
    spkiSha256: sha256(id),
    ...changes,
  };
}

t.test("a hierarchy is stored whole, once; two that open it take turns", async (t) => {
  const root = issuer("root");
  const issuing = issuer("issuing", { parentId: root.id });
  const same = issuer("issuing", { parentId: root.id, certificate: root.certificate });
  await t.rejects(store.insertIssuers([root, same], true), { code: "23505" });
  t.same(await store.readIssuers(), [], "both or neither");
  await store.insertIssuers([root, issuing], true);
  const stored = await store.readIssuers();
  t.same(
    stored.map(({ id, state }) => [id, state]),
    [
      [root.id, "active"],
      [issuing.id, "active"],
    ],
  );
  t.ok(stored.every(({ publishedAt, activatedAt }) => publishedAt !== null && activatedAt !== null));
  await t.rejects(store.insertIssuers([issuer("root", { generation: 2 })], true), {
    message: "the database has a CA hierarchy already",
  });

  let inside = 0;
  let most = 0;
  await Promise.all(
    Array.from({ length: 5 }, () =>
      store.exclusively(async () => {
        most = Math.max(most, ++inside);
        await query(db, "select pg_sleep(0.01)");
        inside--;
      }),
    ),
  );
  t.equal(most, 1);
  await t.rejects(
    store.exclusively(() => Promise.reject(new Error("inside"))),
    { message: "inside" },
  );
  t.equal(await store.exclusively(async () => "free again"), "free again");
});

t.test(
  "one issuer of a line is active, one has each generation, and only a prepared one is without certificate",
  async (t) => {
    const refused = async (changes: Partial<NewIssuer>, code: string): Promise<void> => {
      await t.rejects(store.insertIssuers([issuer("issuing", changes)]), { code }, JSON.stringify(changes));
    };
    await refused({ generation: 2 }, "23505");
    await refused({ state: "published" }, "23505");
    await refused({ generation: 3, state: "published", certificate: null, notAfter: null }, "23514");
    await refused({ generation: 3, state: "prepared", certificate: null, notAfter: null }, "23514");
    await refused({ generation: 3, state: "prepared", crlShards: 3 }, "23514");
    await refused({ generation: 3, state: "prepared", name: "Not a name" }, "23514");
    const waiting = issuer("issuing", {
      generation: 2,
      state: "prepared",
      certificate: null,
      notAfter: null,
      request: Buffer.of(0x30, 0),
    });
    const other = issuer("issuing", { name: "other" });
    await store.insertIssuers([waiting, other]);
    const found = new Map((await store.readIssuers()).map((one) => [one.id, one]));
    t.match(found.get(waiting.id), { state: "prepared", certificate: null, publishedAt: null, activatedAt: null });
    t.match(found.get(other.id), { state: "active", name: "other" });
  },
);
