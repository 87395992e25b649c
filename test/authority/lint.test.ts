import t from "tap";
import { lint, LintFailed } from "../../src/authority/lint.ts";
import { lintIntent } from "../../src/authority/lintIntent.ts";
import { prepare } from "../../src/authority/prepare.ts";
import { basicConstraints } from "../../src/x509/extensions.ts";
import { oids } from "../../src/x509/oid.ts";
import { authorizedWorkload, p256 } from "../support/authorized.ts";
import { craftTbs, partsOf } from "../support/craftedTbs.ts";
import { memoryHierarchy } from "../support/issuers.ts";

const now = new Date("2026-01-01T00:00:00Z");
const { issuing } = await memoryHierarchy(now);
const { issuing: stranger } = await memoryHierarchy(now);
const random = Buffer.from("00112233445566778899aabbccdd", "hex");
const good = prepare(authorizedWorkload(), p256(), issuing, { now, random });
const intent = {
  serial: good.serialNumber,
  tbs: good.tbs,
  issuerId: issuing.id,
  orderId: "order",
  notAfter: good.notAfter,
  quarantined: false,
  revoked: false,
  blocked: false,
};
const parts = partsOf(good.tbs);
const asCa = craftTbs({
  ...parts,
  extensions: parts.extensions.map((one) => (one.oid === oids.basicConstraints ? basicConstraints({ cA: true }) : one)),
});

/** What is found, or nothing. */
function findings(act: () => unknown): readonly string[] {
  try {
    act();
    return [];
  } catch (error) {
    if (error instanceof LintFailed) return error.findings;
    throw error;
  }
}

t.test("all findings are told, each with its source", async (t) => {
  const { authorized } = good;
  const profile = { ...authorized.profile, keyKinds: ["ed25519" as const] };
  const wrong = { ...good, tbs: asCa, authorized: { ...authorized, profile } };
  t.throws(() => lint(wrong), {
    name: "LintFailed",
    message:
      "the certificate broke 2 lints: basicConstraintsOfLeaf (RFC 5280 §4.2.1.9; RFC 9608 §3); keyKindOfProfile (Mayfly)",
  });
});

t.test("bytes that are no TBSCertificate break the one rule that stands before all others", async (t) => {
  const cut = good.tbs.subarray(0, -1);
  for (const tbs of [cut, Buffer.alloc(0), Buffer.concat([good.tbs, Buffer.of(0)]), Buffer.of(0x30, 0)])
    t.match(
      findings(() => lint({ ...good, tbs })),
      [/^tbsCertificate /],
    );
});

t.test("a lint that cannot look at something is not met", async (t) => {
  const authorized = { ...good.authorized, granted: undefined } as unknown as typeof good.authorized;
  t.match(
    findings(() => lint({ ...good, authorized })),
    [/^nameWithinGrant /],
  );
});

t.test("an intent is held against everything that can be said of its bytes", async (t) => {
  const found = (changes: Partial<typeof intent>, issuer = issuing): string[] =>
    findings(() => lintIntent({ ...intent, ...changes }, issuer)).map((finding) => finding.split(" ")[0] ?? "");
  t.same(found({}), []);
  t.same(found({ tbs: asCa }), ["basicConstraintsOfLeaf"]);
  t.same(found({ serial: Buffer.alloc(16, 1) }), ["recordIsTheCertificate"]);
  t.same(found({ notAfter: now }), ["recordIsTheCertificate"]);
  t.same(found({ tbs: good.tbs.subarray(1) }), ["tbsCertificate"]);
  t.same(found({}, stranger), ["authorityKeyIdentifierOfIssuer"], "of another issuer of the same name");
  t.same(found({}, { ...issuing, notAfter: now }), ["issuerOutlivesLeaf"]);
  // The active issuer of the time may be retiring by now: the decision was made then.
  t.same(found({}, { ...issuing, state: "retiring" }), []);
});
