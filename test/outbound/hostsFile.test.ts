import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { createHostsFile } from "../../src/outbound/hostsFile.ts";

t.test("hosts(5): several names of a line, several lines of a name, comments, any case", async (t) => {
  const text = `# a comment
127.0.0.1\tlocalhost
192.0.2.1   Web.Example web # and another
2001:db8::1 web.example
not-an-address other.example
192.0.2.3 absolute.example.
  192.0.2.4 indented.example\r
`;
  const hosts = createHostsFile(join(t.testdir({ hosts: text }), "hosts"));
  t.same(await hosts.addresses("web.example"), ["192.0.2.1", "2001:db8::1"]);
  t.same(await hosts.addresses("WEB"), ["192.0.2.1"]);
  t.same(await hosts.addresses("absolute.example"), ["192.0.2.3"]);
  t.same(await hosts.addresses("indented.example"), ["192.0.2.4"]);
  for (const none of ["and", "another", "other.example", "", "example", "constructor"])
    t.same(await hosts.addresses(none), [], none);
});

t.test("a file that is not there has no names, and a change counts without a restart", async (t) => {
  const path = join(t.testdir({}), "hosts");
  const hosts = createHostsFile(path);
  t.same(await hosts.addresses("web.example"), []);
  writeFileSync(path, "192.0.2.1 web.example");
  await sleep(1_100);
  t.same(await hosts.addresses("web.example"), ["192.0.2.1"]);
});
