import t from "tap";
import { createIssuing, type IssuingParts, type Refused } from "../../src/authority/issue.ts";
import { BadSignature, issuingKey } from "../../src/authority/issuingKey.ts";
import type { Issuer } from "../../src/authority/issuer.ts";
import type { Intent, IssuanceLedger, OpenIntent } from "../../src/authority/ports.ts";
import { KeyUnavailable } from "../../src/keys/signer.ts";
import { readCertificate } from "../../src/x509/certificate.ts";
import { verifySignature } from "../../src/x509/signatureAlgorithm.ts";
import { agentOne, authorizedServer, authorizedWorkload, p256 } from "../support/authorized.ts";
import { memoryHierarchy, memoryKeys, workloadProfile } from "../support/issuers.ts";

const now = new Date("2026-01-01T00:00:00Z");
const { issuing: issuer, signer } = await memoryHierarchy(now);
const stranger = await memoryKeys().generate("stranger", "ec-p256");

type Sign = (message: Uint8Array) => Promise<Buffer>;

interface Scene {
  /** What happened, in order. */
  readonly events: string[];
  readonly intents: Intent[];
  readonly recorded: { serial: Buffer; certificate: Buffer }[];
  readonly unfinished: unknown[];
  readonly refused: Refused[];
  readonly parts: IssuingParts;
}

/** A ledger and an issuer that write down what happens to them. */
function scene(ledger: Partial<IssuanceLedger> = {}, sign: Sign = (message) => signer.sign(message)): Scene {
  const events: string[] = [];
  const intents: Intent[] = [];
  const recorded: Scene["recorded"] = [];
  const unfinished: unknown[] = [];
  const refused: Refused[] = [];
  const watched: Issuer = {
    ...issuer,
    key: issuingKey({
      ...signer,
      sign: (message) => {
        events.push("sign");
        return sign(message);
      },
    }),
  };
  const recording: IssuanceLedger = {
    async intend(intent) {
      events.push("intend");
      intents.push(intent);
      return "intended";
    },
    async record(serial, certificate) {
      events.push("record");
      recorded.push({ serial, certificate });
      return true;
    },
    openIntents: async () => [],
    async abandon(_, reason) {
      events.push(`abandon: ${reason}`);
    },
    async refuse({ findings }) {
      events.push(`refuse: ${findings.join()}`);
    },
    async refuseIntent(_, { findings }) {
      events.push(`refuse intent: ${findings.join()}`);
    },
    ...ledger,
  };
  const reread = async (): Promise<void> => void events.push("reread");
  const parts: IssuingParts = {
    ledger: recording,
    issuers: { active: () => watched, byId: (id) => (id === issuer.id ? watched : undefined), reread },
    now: () => now,
    onUnfinished: (_, error) => unfinished.push(error),
    onRefused: (one) => refused.push(one),
  };
  return { events, intents, recorded, unfinished, refused, parts };
}

t.test("intent before signature, record before release", async (t) => {
  const { events, intents, recorded, parts } = scene();
  const publicKey = p256();
  const outcome = await createIssuing(parts).issue(authorizedWorkload(), publicKey);
  t.same(events, ["intend", "sign", "record"]);
  if (outcome.outcome !== "issued") return t.fail(outcome.outcome);
  const [intent] = intents;
  t.match(recorded, [{ serial: outcome.serial, certificate: outcome.certificate }]);

  const certificate = readCertificate(outcome.certificate);
  t.ok(intent?.tbs.equals(certificate.tbs), "what was intended is what was signed");
  t.ok(verifySignature("ecdsa-p256-sha256", signer.publicKey, certificate.tbs, certificate.signature));
  t.match(intent, {
    serial: certificate.serialNumber,
    issuerId: issuer.id,
    door: "acme",
    orderId: "order",
    accountId: "account",
    identityKind: "spiffe",
    identityName: agentOne,
    spiffeId: agentOne,
    dnsNames: [],
    ipAddresses: [],
    profile: "workload",
    profileHash: workloadProfile().hash,
    spkiSha256: publicKey.sha256,
    evidence: [{ proved: { by: "attestation", record: { grant: "dev" } } }],
    notBefore: certificate.notBefore,
    notAfter: certificate.notAfter,
  });
});

t.test("an identity of names is their sorted list, so that their order in an order makes no other one", async (t) => {
  const { intents, parts } = scene();
  await createIssuing(parts).issue(authorizedServer(), p256());
  const names = { identityKind: "names", identityName: "192.0.2.1,a.test,b.test", spiffeId: null };
  t.match(intents, [{ ...names, dnsNames: ["b.test", "a.test"], ipAddresses: ["192.0.2.1"] }]);
});

t.test("serial numbers are drawn anew each time", async (t) => {
  const { intents, parts } = scene();
  const issuing = createIssuing(parts);
  for (let n = 0; n < 20; n++) await issuing.issue(authorizedWorkload(), p256());
  t.equal(new Set(intents.map(({ serial }) => serial.toString("hex"))).size, 20);
});

t.test("an issuer that ends too soon is our fault, and evidence that does is not", async (t) => {
  const authorized = authorizedWorkload();
  const short = { ...authorized, validity: { notAfterCap: now } };
  const long = { ...authorized, validity: { notAfter: new Date(now.getTime() + 7_200_000) } };
  const { events, parts } = scene();
  await t.rejects(createIssuing(parts).issue(short, p256()), { name: "ValidityRefused" });
  const ending = { ...parts.issuers.active("default"), notAfter: now };
  const issuing = createIssuing({ ...parts, issuers: { ...parts.issuers, active: () => ending } });
  for (const asked of [authorized, long])
    await t.rejects(issuing.issue(asked, p256()), { name: "KeyUnavailable", message: /default ends too soon: / });
  await t.rejects(issuing.issue(short, p256()), { name: "ValidityRefused" });
  t.same(events, [], "nothing was written or signed");
});

t.test("an order that is not ready is not signed for", async (t) => {
  const { events, parts } = scene({ intend: async () => "notReady" });
  t.same(await createIssuing(parts).issue(authorizedWorkload(), p256()), { outcome: "notReady" });
  t.same(events, []);
});

t.test(
  "an issuer that was replaced meanwhile is our own trouble: the issuers are read again, and the next one signs",
  async (t) => {
    let first = true;
    const turned = scene({ intend: async () => (first ? ((first = false), "notIssuing") : "intended") });
    t.match(await createIssuing(turned.parts).issue(authorizedWorkload(), p256()), { outcome: "issued" });
    t.same(turned.events, ["reread", "sign", "record"]);
    const never = scene({ intend: async () => "notIssuing" });
    await t.rejects(createIssuing(never.parts).issue(authorizedWorkload(), p256()), { name: "KeyUnavailable" });
    t.same(never.events, ["reread"]);
  },
);

t.test("without a committed intent nothing is signed", async (t) => {
  const { events, parts } = scene({ intend: () => Promise.reject(new Error("database away")) });
  await t.rejects(createIssuing(parts).issue(authorizedWorkload(), p256()), { message: "database away" });
  t.same(events, []);
});

t.test("what the lints refuse is written down, and reaches neither the intents nor the token", async (t) => {
  const { events, refused, parts } = scene();
  const wrongKey = authorizedWorkload(workloadProfile({ keyKinds: ["ed25519"] }));
  const publicKey = p256();
  await t.rejects(createIssuing(parts).issue(wrongKey, publicKey), { name: "LintFailed" });
  t.same(events, ["refuse: keyKindOfProfile (Mayfly)"]);
  t.match(refused, [
    {
      findings: ["keyKindOfProfile (Mayfly)"],
      identityName: agentOne,
      profile: "workload",
      orderId: "order",
      spkiSha256: publicKey.sha256,
    },
  ]);
  t.equal(refused[0]?.tbsSha256.length, 32);

  const away = scene({ refuse: () => Promise.reject(new Error("database away")) });
  await t.rejects(createIssuing(away.parts).issue(wrongKey, publicKey), { message: "database away" });
  t.equal(away.refused.length, 1, "and is told where it cannot be written down");
  t.same(away.events, []);
});

t.test("an intent that was changed in the database is not signed, whoever changed it", async (t) => {
  const { intents, parts } = scene();
  await createIssuing(parts).issue(authorizedWorkload(), p256());
  const [made] = intents;
  if (made === undefined) return t.fail("no intent");
  const changed = Buffer.from(made.tbs);
  changed[changed.indexOf(Buffer.from("550403", "hex")) + 5] = 0x21; // A letter of the issuer's name.
  const open = { ...made, tbs: changed, quarantined: false, revoked: false, blocked: false };
  const {
    events,
    refused,
    parts: settling,
  } = scene({
    openIntents: async () => [open],
  });
  t.same(await createIssuing(settling).settle(now), { recorded: 0, abandoned: 1, open: 0 });
  t.same(events, ["refuse intent: issuerIsTheSubject (RFC 5280 §6.1.3 (a)(4))"]);
  t.match(refused, [{ serial: made.serial }]);
});

t.test("H-28 a signature that does not verify is never recorded", async (t) => {
  const signers: Record<string, Sign> = {
    "of another key": (message) => stranger.sign(message),
    "over other bytes": (message) => signer.sign(message.subarray(1)),
    empty: async () => Buffer.alloc(0),
  };
  for (const [name, sign] of Object.entries(signers)) {
    const { events, unfinished, parts } = scene({}, sign);
    const { outcome } = await createIssuing(parts).issue(authorizedWorkload(), p256());
    t.equal(outcome, "unfinished", name);
    t.same(events, ["intend", "sign"]);
    t.ok(unfinished[0] instanceof BadSignature);
  }
});

t.test("H-28 H-29 a token or database that goes away after the intent leaves it to be settled", async (t) => {
  const away = scene({}, () => Promise.reject(new KeyUnavailable("gone")));
  t.match(await createIssuing(away.parts).issue(authorizedWorkload(), p256()), {
    outcome: "unfinished",
    serial: away.intents[0]?.serial,
  });
  t.same(away.events, ["intend", "sign"]);
  t.match(away.unfinished, [{ name: "KeyUnavailable" }]);

  const broken = scene({ record: () => Promise.reject(new Error("database away")) });
  t.match(await createIssuing(broken.parts).issue(authorizedWorkload(), p256()), { outcome: "unfinished" });
  t.match(broken.unfinished, [{ message: "database away" }]);
});

t.test("a certificate that lost the race against the settling job is never released", async (t) => {
  const { parts } = scene({ record: async () => false });
  const outcome = await createIssuing(parts).issue(authorizedWorkload(), p256());
  t.same(Object.keys(outcome).sort(), ["outcome", "serial"]);
  t.equal(outcome.outcome, "unfinished");
});

/** An intent that somebody left behind. */
async function leftIntent(changes: Partial<OpenIntent> = {}): Promise<OpenIntent> {
  const { intents, parts } = scene();
  await createIssuing(parts).issue(authorizedWorkload(), p256());
  const [intent] = intents;
  if (intent === undefined) throw new Error("no intent was made");
  return { ...intent, quarantined: false, revoked: false, blocked: false, ...changes };
}

t.test("settle signs the same bytes again, and abandons what cannot be finished", async (t) => {
  const good = await leftIntent();
  const late = await leftIntent({ notAfter: now });
  const foreign = await leftIntent({ issuerId: "gone" });
  const held = await leftIntent({ quarantined: true });
  const blocked = await leftIntent({ blocked: true });
  let asked: Date | undefined;
  const { events, recorded, parts } = scene({
    async openIntents(before) {
      asked = before;
      return [late, good, foreign, held, blocked];
    },
  });
  const before = new Date(now.getTime() - 20_000);
  t.same(await createIssuing(parts).settle(before), { recorded: 1, abandoned: 4, open: 0 });
  t.equal(asked, before);
  t.same(events, [
    "abandon: its validity has passed",
    "sign",
    "record",
    "abandon: its issuer is not here any more",
    "abandon: its identity is in quarantine",
    "abandon: its key is blocked",
  ]);
  t.ok(recorded[0]?.serial.equals(good.serial));
  t.ok(readCertificate(recorded[0]?.certificate ?? Buffer.alloc(0)).tbs.equals(good.tbs));
});

t.test("settle leaves open what fails now, and goes on with the rest", async (t) => {
  const intents = [await leftIntent(), await leftIntent()];
  let calls = 0;
  const { unfinished, recorded, parts } = scene({ openIntents: async () => intents }, (message) =>
    calls++ === 0 ? Promise.reject(new KeyUnavailable("gone")) : signer.sign(message),
  );
  t.same(await createIssuing(parts).settle(now), { recorded: 1, abandoned: 0, open: 1 });
  t.match(unfinished, [{ name: "KeyUnavailable" }]);
  t.ok(recorded[0]?.serial.equals(intents[1]?.serial ?? Buffer.alloc(0)));
});
