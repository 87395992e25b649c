import t from "tap";
import { Value } from "typebox/value";
import { staticKeys } from "../../src/attestation/jwks.ts";
import type { SourceSettings } from "../../src/attestation/format.ts";
import { atcFormat } from "../../src/attestation/formats/atc.ts";
import { k8sFormat } from "../../src/attestation/formats/k8s.ts";
import {
  checkSource,
  evidenceFormats,
  formatNamed,
  sourceSchema,
  sourceSchemaOf,
} from "../../src/attestation/registry.ts";
import { sourceFacts } from "../../src/attestation/sources.ts";
import { configureTokenSource, type TokenSettings } from "../../src/attestation/tokenSource.ts";

/** What a schema has let through; other tests say what it does not. */
const checkTokenSettings = (settings: TokenSettings, at?: string): void => checkSource(settings, at);

const good: TokenSettings = {
  ref: "github",
  format: "jwt",
  issuer: "https://token.actions.githubusercontent.com",
  jwksUrl: "https://token.actions.githubusercontent.com/.well-known/jwks",
};

t.test("what the schema takes and refuses", (t) => {
  const accepts = (source: unknown): boolean =>
    Value.Check(sourceSchema, source) && Value.Check(sourceSchemaOf(formatNamed(source.format)), source);
  t.ok(accepts(good));
  t.ok(accepts({ ...good, algorithms: ["RS256"], clockSkewSeconds: 60, typ: "at+jwt" }));
  t.ok(accepts({ ...good, pinning: { mode: "count", accounts: 3 } }));
  const bad = {
    "an unknown key": { ...good, jwks: "x" },
    "an unknown format": { ...good, format: "sesame" },
    "an unknown pinning": { ...good, pinning: { mode: "off" } },
    "another format's key": { ...good, tokenAuthorityUrl: "https://authority.example/" },
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
  for (const [name, configuration] of Object.entries(bad)) t.notOk(accepts(configuration), name);
  t.end();
});

t.test("combinations that cannot be", (t) => {
  const refused = (
    change: Partial<SourceSettings & TokenSettings> & { tokenAuthorityUrl?: string },
    message: RegExp,
  ): void => {
    t.throws(() => checkSource({ ...good, ...change }), { message }, String(message));
  };
  t.doesNotThrow(() => checkSource(good));
  t.doesNotThrow(() => checkTokenSettings({ ...good, jwksUrl: "http://127.0.0.1:9000/jwks" }));
  t.doesNotThrow(() => checkTokenSettings({ ...good, jwksUrl: "http://[::1]:9000/jwks" }));
  t.doesNotThrow(() => checkTokenSettings({ ...good, jwksUrl: "http://issuer.localhost/jwks" }));

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
  refused({ pinning: { mode: "count" } }, /^sources\.github\.pinning: .*expected accounts/);
  refused({ pinning: { mode: "strict", accounts: 3 } }, /^sources\.github\.pinning: .*expected accounts/);
  refused({ pinning: { mode: "once", seconds: 60 } }, /^sources\.github\.pinning: .*no seconds/);
  t.end();
});

t.test("defaults", (t) => {
  const keys = staticKeys({ keys: [] });
  const source = configureTokenSource(good, keys);
  t.match(source, { clockSkewSeconds: 30, maxAgeSeconds: 3600, maxLifetimeSeconds: 86_400, audience: undefined });
  t.same(source.algorithms, ["RS256", "PS256", "ES256", "ES384", "EdDSA"]);
  t.equal(configureTokenSource({ ...good, clockSkewSeconds: 0 }, keys).clockSkewSeconds, 0);
  t.end();
});

t.test("what grants know of a source", (t) => {
  const github = sourceFacts(good);
  t.match(github, { ref: "github", format: "jwt", claimNames: undefined, levels: ["nonce", "bearer"] });
  t.ok(github.tenantClaims?.includes("repository_owner_id"), "an issuer that anybody can get tokens from");
  t.same(github.pinning, { mode: "alert" });
  t.same(sourceFacts({ ...good, pinning: { mode: "strict" } }).pinning, { mode: "strict" });
  const cluster = sourceFacts({ ...good, format: "k8s", issuer: "https://kubernetes.default.svc" } as SourceSettings);
  t.ok(cluster.claimNames?.includes("podUid"));
  t.equal(cluster.tenantClaims, undefined);
  t.strictSame(k8sFormat.claimNames, cluster.claimNames);
  t.strictSame(atcFormat.claimNames, [...Array.from({ length: 16 }, (_, index) => `path${index + 1}`), "jti", "sub"]);
  t.same(atcFormat.levels, ["key"]);
  t.end();
});

t.test("the registry: what it does not list is no format", (t) => {
  for (const name of evidenceFormats) t.equal(formatNamed(name).name, name);
  for (const name of ["", "sesame", "JWT", "__proto__", "constructor"]) t.throws(() => formatNamed(name), /no format/);
  t.end();
});
