import t from "tap";
import { Value } from "typebox/value";
import { readRevocation, revocationSection } from "../../src/config/revocation.ts";
import { loadConfiguration } from "../../src/config/load.ts";

type Written = Parameters<typeof readRevocation>[0];
const defaults = Value.Default(revocationSection, {}) as Written;
const read = (changes: Partial<Written> = {}) =>
  readRevocation({ ...defaults, ...changes }, "https://ca.example", "localhost:8443");

t.test("what is left open: the external URL, and no further listener", async (t) => {
  t.match(read(), { publicUrl: "https://ca.example", listen: undefined, crlShards: 16 });
  t.match(loadConfiguration(undefined, {}).revocation, { publicUrl: "https://localhost:8443", listen: undefined });
  t.equal(read({ publicUrl: "http://crl.example/" }).publicUrl, "http://crl.example");
  t.same(read({ listen: "[::1]:8080" }).listen, { host: "::1", port: 8080 });
  t.same(read({ listen: "0.0.0.0:80" }).listen, { host: "0.0.0.0", port: 80 });
});

t.test("what does not belong together stops the start", async (t) => {
  const message = (text: RegExp) => ({ message: text });
  t.throws(() => read({ listen: "localhost:65536" }), message(/^revocation\.listen: .* a port up to 65535/));
  t.throws(
    () => read({ listen: "localhost:8443" }),
    message(/^revocation\.listen: .* another port than that of listen/),
  );
  t.throws(() => read({ publicUrl: "http://[::1" }), message(/^revocation\.publicUrl: /));
  t.throws(
    () => read({ crlLifetimeSeconds: 3600, crlIntervalSeconds: 2701 }),
    message(/^revocation\.crlIntervalSeconds: 2701: expected at most three quarters of crlLifetimeSeconds \(3600\)/),
  );
  t.doesNotThrow(() => read({ crlLifetimeSeconds: 3600, crlIntervalSeconds: 2700 }));
});

t.test("the schema holds what one value may be", async (t) => {
  const good = (changes: object): boolean => Value.Check(revocationSection, { ...defaults, ...changes });
  t.ok(good({}));
  for (const bad of [
    { publicUrl: "ftp://crl.example" },
    { publicUrl: "http://crl.example/path" },
    { publicUrl: "http://user@crl.example" },
    { listen: "8080" },
    { crlShards: 3 },
    { crlShards: 512 },
    { crlShards: "16" },
    { crlLifetimeSeconds: 599 },
    { crlIntervalSeconds: 59 },
    { crlCacheSeconds: -1 },
    { crlMemoryBytes: 0 },
    { crl: true },
  ])
    t.notOk(good(bad), JSON.stringify(bad));
});
