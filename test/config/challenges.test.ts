import t from "tap";
import { checkSubdomainChallenges, readIssuerDomainNames } from "../../src/config/challenges.ts";

const none = { challenges: ["http-01"], caaIdentities: [], issuerDomainNames: [] };
const persist = { ...none, challenges: ["dns-persist-01"] };

t.test("issuer domain names: the configured ones, or CAA's, or the host of the external URL", async (t) => {
  t.same(readIssuerDomainNames(none, "https://ca.example:8443"), ["ca.example"]);
  t.same(readIssuerDomainNames(persist, "https://ca.example"), ["ca.example"]);
  t.same(readIssuerDomainNames({ ...persist, caaIdentities: ["b.example"] }, "https://ca.example"), ["b.example"]);
  const own = { ...persist, issuerDomainNames: ["b.example", "c.example"] };
  t.same(readIssuerDomainNames(own, "https://ca.example"), ["b.example", "c.example"]);
});

t.test("RDP-1 what the draft forbids stops the start", async (t) => {
  for (const url of ["https://192.0.2.1", "https://[2001:db8::1]:8443"]) {
    t.same(readIssuerDomainNames(none, url), [], "an address is no name");
    t.throws(() => readIssuerDomainNames(persist, url), { message: /^acme\.issuerDomainNames: is missing/ });
  }
  const foreign = { ...persist, caaIdentities: ["b.example"], issuerDomainNames: ["c.example"] };
  t.throws(() => readIssuerDomainNames(foreign, "https://ca.example"), {
    message: /^acme\.issuerDomainNames: "c\.example": expected a name that acme\.caaIdentities has/,
  });
});

t.test("subdomain authorizations need a challenge by DNS", async (t) => {
  const http = { challenges: ["http-01", "tls-alpn-01"], subdomainAuthorizations: true };
  t.throws(() => checkSubdomainChallenges(http), {
    message: /^acme\.subdomainAuthorizations: true: expected one of dns-01, /,
  });
  t.doesNotThrow(() => checkSubdomainChallenges({ ...http, challenges: ["http-01", "dns-persist-01"] }));
  t.doesNotThrow(() => checkSubdomainChallenges({ ...http, subdomainAuthorizations: false }));
});
