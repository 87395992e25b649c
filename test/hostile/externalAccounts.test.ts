/** H-08: what can be tried with an external account key, one's own or somebody else's. */
import { performance } from "node:perf_hooks";
import t from "tap";
import { acmeDriver, clientKey } from "../support/acmeDriver.ts";
import { query } from "../support/acmeFlows.ts";
import { certificateAuthority } from "../support/certificateAuthority.ts";
import { binding, boundAccount, externalKey, type ExternalKey } from "../support/externalAccounts.ts";
import { refused } from "../support/refused.ts";

t.test("external account keys", async (t) => {
  const directories = [{ name: "other" }];
  const ca = await certificateAuthority(t, { configuration: { acme: { directories, externalAccountRequired: true } } });
  const acme = await acmeDriver(t, ca);
  const other = await acmeDriver(t, { ...ca, directoryUrl: `${ca.url}/acme/other/directory` });
  t.equal(other.directory.meta["externalAccountRequired"], true, "a directory that says nothing is as the first one");

  t.test("H-08 a binding that was seen is of no use to anybody else", async (t) => {
    const key = await externalKey(ca, { uses: 10 });
    const alice = await boundAccount(acme, key);
    const seen = (await alice.postAsGet(alice.account)).json()["externalAccountBinding"];
    refused(t, await acme.client().register({ externalAccountBinding: seen }), 400, "malformed", "for another key");
    refused(
      t,
      await other.client(alice.key).register({ externalAccountBinding: seen }),
      400,
      "malformed",
      "for another directory, whose URL is another one",
    );
    t.equal((await alice.register({ externalAccountBinding: seen })).status, 200, "it leads to its own account");
    await alice.post(alice.account, { status: "deactivated" });
    refused(
      t,
      await alice.register({ externalAccountBinding: seen }),
      401,
      "unauthorized",
      "whose end it does not undo",
    );
  });

  t.test("H-08 a key is nothing in another directory, in the words for one that is not there", async (t) => {
    const key = await externalKey(ca, { uses: 10 });
    const details = new Set<unknown>();
    const attempts: [string, ExternalKey][] = [
      ["another directory's", key],
      ["unknown", { ...key, id: "0198c0de-0000-7000-8000-000000000000" }],
    ];
    for (const [name, used] of attempts) {
      const client = other.client();
      const reply = await client.register({ externalAccountBinding: binding(other, client, used) });
      details.add(JSON.stringify(refused(t, reply, 403, "unauthorized", name)));
    }
    const client = acme.client();
    const guess = binding(acme, client, { ...key, macKey: "AAAA" });
    details.add(
      JSON.stringify(refused(t, await client.register({ externalAccountBinding: guess }), 403, "unauthorized")),
    );
    t.equal(details.size, 1);
  });

  t.test("H-08 a key id of any length or shape is refused, and never a fault of ours", async (t) => {
    for (const kid of ["x".repeat(101), "x".repeat(5000)]) {
      const client = acme.client();
      const reply = await client.register({ externalAccountBinding: binding(acme, client, { id: kid, macKey: "AA" }) });
      refused(t, reply, 400, "malformed", `${kid.length} characters`);
    }
    for (const kid of ["", "\u0000", "' or true --", "ü", "\ud800", "x".repeat(100)]) {
      const client = acme.client();
      const reply = await client.register({ externalAccountBinding: binding(acme, client, { id: kid, macKey: "AA" }) });
      refused(t, reply, 403, "unauthorized", JSON.stringify(kid));
    }
    // What is kept is kept as it came, whatever is in it.
    const client = acme.client();
    const odd = { "\u0000": "\ud800", n: [1e300, null] };
    const shown = binding(acme, client, await externalKey(ca), { jws: odd });
    const made = await client.register({ externalAccountBinding: shown });
    t.equal(made.status, 201, made.text);
    t.same(made.json()["externalAccountBinding"], shown);
  });

  t.test("H-08 an unknown key id takes as long as a wrong MAC", async (t) => {
    const key = await externalKey(ca, { uses: 10 });
    const client = acme.client(clientKey("EdDSA"));
    const bindings = {
      wrong: binding(acme, client, { ...key, macKey: "AAAA" }),
      unknown: binding(acme, client, { ...key, id: "0198c0de-0000-7000-8000-000000000000" }),
    };
    const times: Record<"wrong" | "unknown", number[]> = { wrong: [], unknown: [] };
    for (let i = 0; i < 150; i++) {
      for (const which of ["wrong", "unknown"] as const) {
        const start = performance.now();
        await client.register({ externalAccountBinding: bindings[which] });
        times[which].push(performance.now() - start);
      }
    }
    // A lone signature or statement more would be at least 0.2 ms of about 3; half of all cases on both sides must be as fast.
    const median = (values: number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
    const [wrong, unknown] = [median(times.wrong), median(times.unknown)];
    t.ok(Math.abs(wrong - unknown) < 0.25 * Math.max(wrong, unknown), `${wrong} and ${unknown} ms`);
  });

  t.test("H-08 no MAC key lies open in the database or comes out of REST again", async (t) => {
    const key = await externalKey(ca);
    const secret = Buffer.from(key.macKey, "base64url");
    const [row] = await query(ca, "select sealed_mac_key from external_account_key where id = $1", [key.id]);
    const sealed = row?.["sealed_mac_key"] as Buffer | undefined;
    t.equal(sealed?.includes(secret), false);
    const rows = await query(
      ca,
      "select to_jsonb(a)::text as line from audit_entry a union all select to_jsonb(o)::text from outbox o",
    );
    const everything = rows.map(({ line }) => String(line)).join("\n");
    t.ok(everything.includes(key.id));
    t.notOk(everything.includes(key.macKey) || everything.includes(secret.toString("hex")));

    // A row that somebody moved to another key or directory does not open.
    const moved = await externalKey(ca);
    await query(
      ca,
      "update external_account_key set sealed_mac_key = (select sealed_mac_key from external_account_key where id = $1) where id = $2",
      [key.id, moved.id],
    );
    const client = acme.client();
    const forged = binding(acme, client, { id: moved.id, macKey: key.macKey });
    const reply = await client.register({ externalAccountBinding: forged });
    refused(t, reply, 500, "serverInternal");
  });
});
