import t from "tap";
import { homePage, type HomeFacts } from "../../src/http/home.ts";

const facts: HomeFacts = {
  externalUrl: "https://ca.test:8443",
  revocationUrl: "http://pki.test",
  trustDomain: "mayfly.test",
  roots: () => [{ name: "O=Mayfly, CN=Mayfly Root CA", fingerprint: "0a".repeat(32) }],
  development: false,
  termsOfService: undefined,
  directories: ["/acme", "/acme/servers"],
};

t.test("tells what this is, how to trust the root, where everything is", async (t) => {
  const page = homePage(facts);
  for (const expected of [
    "mayfly.test",
    "O=Mayfly, CN=Mayfly Root CA",
    Array<string>(32).fill("0A").join(":"),
    "https://ca.test:8443/acme/directory",
    "https://ca.test:8443/acme/servers/directory",
    "https://ca.test:8443/limits",
    "https://ca.test:8443/api/v1/blocked-keys",
    "https://ca.test:8443/api/v1/suspensions",
    "http://pki.test/crl/",
    "http://pki.test/ocsp",
    "https://ca.test:8443/spiffe/bundle-post-quantum.json",
    "https://ca.test:8443/root-post-quantum.pem",
    "https://ca.test:8443/spiffe/bundle.json",
    "https://ca.test:8443/root.pem",
    "https://ca.test:8443/api/v1/certificates",
  ]) {
    t.ok(page.includes(expected), expected);
  }
  t.notMatch(page, /For development/);
  t.match(homePage({ ...facts, development: true }), /For development/);
});

t.test("facts are text, never markup", async (t) => {
  const evil = `"><script>alert('x')</script>&amp;`;
  const page = homePage({
    ...facts,
    externalUrl: evil,
    revocationUrl: evil,
    trustDomain: evil,
    roots: () => [{ name: evil, fingerprint: "0a" }],
  });
  t.notMatch(page, /<script/);
  t.notMatch(page, /href="">/);
  t.ok(page.includes("&quot;&gt;&lt;script&gt;"));
  t.ok(page.includes("&amp;amp;"));
});
