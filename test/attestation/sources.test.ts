import t from "tap";
import { Value } from "typebox/value";
import { staticKeys } from "../../src/attestation/jwks.ts";
import { checkSource, configureSource, sourceSchema, type SourceConfiguration } from "../../src/attestation/sources.ts";

const good: SourceConfiguration = {
  ref: "github",
  format: "jwt",
  issuer: "https://token.actions.githubusercontent.com",
  jwksUrl: "https://token.actions.githubusercontent.com/.well-known/jwks",
};

t.test("what the schema takes and refuses", (t) => {
  t.ok(Value.Check(sourceSchema, good));
  t.ok(Value.Check(sourceSchema, { ...good, algorithms: ["RS256"], clockSkewSeconds: 60, typ: "at+jwt" }));
  const bad = {
    "an unknown key": { ...good, jwks: "x" },
    "an unknown format": { ...good, format: "tpm" },
    "a ref with a slash": { ...good, ref: "a/b" },
    "a ref in upper case": { ...good, ref: "GitHub" },
    "a long ref": { ...good, ref: "a".repeat(41) },
    "no issuer": { ...good, issuer: "" },
    "algorithm none": { ...good, algorithms: ["none"] },
    "a symmetric algorithm": { ...good, algorithms: ["RS256", "HS256"] },
    "no algorithm": { ...good, algorithms: [] },
    "too much skew": { ...good, clockSkewSeconds: 61 },
    "a negative age": { ...good, maxAgeSeconds: -1 },
    "half a second": { ...good, maxLifetimeSeconds: 0.5 },
  };
  for (const [name, configuration] of Object.entries(bad)) t.notOk(Value.Check(sourceSchema, configuration), name);
  t.end();
});

t.test("combinations that cannot be", (t) => {
  const refused = (change: Partial<SourceConfiguration>, message: RegExp): void => {
    t.throws(() => checkSource({ ...good, ...change }), { message }, String(message));
  };
  t.doesNotThrow(() => checkSource(good));
  t.doesNotThrow(() => checkSource({ ...good, jwksUrl: "http://127.0.0.1:9000/jwks" }));
  t.doesNotThrow(() => checkSource({ ...good, jwksUrl: "http://[::1]:9000/jwks" }));
  t.doesNotThrow(() => checkSource({ ...good, jwksUrl: "http://issuer.localhost/jwks" }));

  const { jwksUrl: _, ...withoutKeys } = good;
  t.throws(() => checkSource(withoutKeys), { message: /^sources\.github: .*exactly one/ });
  t.throws(() => checkSource(withoutKeys, "attestation.sources[0]"), { message: /^attestation\.sources\[0\]: / });
  refused({ jwksFile: "/keys.json" }, /^sources\.github\.jwksUrl: .*only one of jwksFile and jwksUrl/);
  for (const jwksUrl of [
    "http://issuer.example/jwks",
    "http://localhost.example/jwks",
    "http://169.254.169.254/",
    "ftp://issuer.example/",
    "file:///etc/passwd",
    "https://user@issuer.example/jwks",
    "https://issuer.example/jwks#x",
    "jwks",
  ]) {
    refused({ jwksUrl }, /^sources\.github\.jwksUrl: .*expected an https URL/);
  }
  refused({ jwksUrl: "https://user:hunter2@issuer.example/jwks" }, /^(?!.*hunter2)sources\.github\.jwksUrl: /);
  refused({ audience: "https://kubernetes.default.svc" }, /^sources\.github\.audience: .*Kubernetes API/);
  refused({ audience: good.issuer }, /^sources\.github\.audience: .*issuer/);
  refused({ format: "k8s", issuer: "kubernetes/serviceaccount" }, /^sources\.github\.issuer: .*legacy/);
  const authority = { format: "atc", tokenAuthorityUrl: "https://authority.example/tokens" } as const;
  t.doesNotThrow(() => checkSource({ ...good, ...authority }));
  const elsewhere = [
    "http://authority.example/",
    "http://127.0.0.1/",
    "authority",
    "https://user:hunter2@authority.example/",
  ];
  for (const tokenAuthorityUrl of elsewhere) {
    refused(
      { ...authority, tokenAuthorityUrl },
      /^(?!.*hunter2)sources\.github\.tokenAuthorityUrl: .*expected an https URL/,
    );
  }
  refused({ ...authority, format: "jwt" }, /^sources\.github\.tokenAuthorityUrl: .*format atc/);
  t.end();
});

t.test("defaults", (t) => {
  const keys = staticKeys({ keys: [] });
  const jwt = configureSource(good, keys);
  t.match(jwt, { clockSkewSeconds: 30, maxAgeSeconds: 3600, maxLifetimeSeconds: 86_400, audience: undefined });
  t.same(jwt.algorithms, ["RS256", "PS256", "ES256", "ES384", "EdDSA"]);
  t.equal(jwt.claimNames, undefined);
  t.ok(jwt.tenantClaims?.includes("repository_owner_id"), "an issuer that anybody can get tokens from");
  const k8s = configureSource({ ...good, format: "k8s", issuer: "https://kubernetes.default.svc" }, keys);
  t.equal(k8s.maxAgeSeconds, 86_400);
  t.ok(k8s.claimNames?.includes("podUid"));
  t.equal(k8s.tenantClaims, undefined);
  const atc = configureSource({ ...good, format: "atc", tokenAuthorityUrl: "https://authority.example/" }, keys);
  t.match(atc, { maxAgeSeconds: 3600, tokenAuthorityUrl: "https://authority.example/" });
  t.strictSame(atc.claimNames, [...Array.from({ length: 16 }, (_, index) => `path${index + 1}`), "jti", "sub"]);
  t.equal(configureSource({ ...good, clockSkewSeconds: 0 }, keys).clockSkewSeconds, 0);
  t.end();
});
