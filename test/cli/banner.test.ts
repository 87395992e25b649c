import t from "tap";
import { banner } from "../../src/cli/banner.ts";
import type { Authority } from "../../src/compose.ts";

/** What a start says of its keys. */
function told(keys: object): string {
  const configuration = {
    externalUrl: "https://ca.test",
    dataDir: "/data",
    noConfigurationMode: false,
    attestation: { developmentSource: false },
    origin: "mayfly.yaml",
  };
  const authority = { configuration, keys, operatorTokenFile: "/data/operator-token", firstStart: false };
  return banner(authority as unknown as Authority);
}

t.test("keys that no hardware protects are told of at every start, all of them or some", async (t) => {
  const inToken = { description: "PKCS#11 token mayfly (SoftHSM v2)", development: false };
  t.notMatch(told(inToken), /!!/);
  t.match(told(inToken), /signing keys +PKCS#11 token mayfly \(SoftHSM v2\)\n/);
  t.match(told({ description: "files", development: true }), /!! DEVELOPMENT KEYS: no hardware protects the CA's keys/);
  const mixed = told({ ...inToken, unprotected: "ML-DSA keys in /pq" });
  t.match(mixed, /!! SOFTWARE KEYS: no hardware protects the ML-DSA keys in \/pq\.\n\n/);
  t.notMatch(mixed, /DEVELOPMENT/);
});
