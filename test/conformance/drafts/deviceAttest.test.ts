/** draft-ietf-acme-device-attest-09: permanent identifiers and device-attest-01, by makers of the tests' own, from order to certificate. */
// oxlint-disable-next-line import/no-unassigned-import -- @peculiar/x509 wants its side effect first
import "reflect-metadata";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import * as witness from "@peculiar/x509";
import t from "tap";
import { encodeCsr } from "../../../src/x509/csrWriter.ts";
import { fingerprintOf } from "../../../src/attestation/certificateChain.ts";
import { pemEncode } from "../../../src/x509/pem.ts";
import { openssl } from "../../x509/openssl.ts";
import { acmeDriver, type AcmeClient, base64url, dns } from "../../support/acmeDriver.ts";
import { challengeOf, leafOf, query } from "../../support/acmeFlows.ts";
import { certificateAuthority } from "../../support/certificateAuthority.ts";
import {
  androidAttestation,
  appleAttestation,
  attestationObject,
  deviceKey,
  type DeviceKey,
  maker,
  packedAttestation,
} from "../../support/deviceAttestations.ts";
import { boundAccount, externalKey, keysOverRest } from "../../support/externalAccounts.ts";
import { evidenceRefused, refused } from "../../support/refused.ts";

const device = (value: string) => ({ type: "permanent-identifier", value });
const profile = {
  description: "devices",
  identifiers: ["permanent-identifier", "dns"],
  lifetimeDefaultSeconds: 3600,
  lifetimeMinSeconds: 60,
  lifetimeMaxSeconds: 86_400,
  backdateSeconds: 30,
  keyKinds: ["ec-p256", "ec-p384"],
  extendedKeyUsage: ["clientAuth"],
};

t.test("draft-ietf-acme-device-attest-09", async (t) => {
  const [yubico, apple, google, stranger] = ["Keys", "Apples", "Phones", "Stranger"].map(maker);
  if (!yubico || !apple || !google || !stranger) throw new Error("no makers");
  const folder = t.testdir({});
  const file = (name: string, certificate: Buffer): string => {
    const path = join(folder, name);
    writeFileSync(path, pemEncode("CERTIFICATE", certificate));
    return path;
  };
  const grant = { profile: "device" };
  const ca = await certificateAuthority(t, {
    configuration: {
      profiles: { device: profile },
      attestation: {
        developmentSource: false,
        sources: [
          { ref: "keys", format: "packed", rootsFile: file("keys.pem", yubico.root.certificate) },
          { ref: "apples", format: "apple", rootsFile: file("apples.pem", apple.root.certificate) },
          { ref: "phones", format: "android-key", rootSha256s: [fingerprintOf(google.root.certificate)] },
        ],
      },
      grants: [
        {
          ...grant,
          name: "keys",
          permanentIdentifier: "{serial}",
          source: "keys",
          conditions: [{ claim: "serial", oneOf: ["4242", "77"] }],
          minBinding: "nonce",
          recordClaims: ["serial", "touchPolicy"],
        },
        {
          ...grant,
          name: "named",
          permanentIdentifier: "{permanentIdentifier}",
          source: "keys",
          minBinding: "nonce",
          anyDevice: true,
        },
        {
          ...grant,
          name: "apples",
          permanentIdentifier: "{serial}/1.2.3.4",
          source: "apples",
          minBinding: "bearer",
          anyDevice: true,
        },
        {
          ...grant,
          name: "phones",
          permanentIdentifier: "{serial}",
          source: "phones",
          minBinding: "nonce",
          anyDevice: true,
        },
      ],
    },
  });
  const acme = await acmeDriver(t, ca);
  const alice = await acme.account();

  /** An order for a device, with its challenge and key authorization. */
  const begun = async (value: string, client: AcmeClient = alice) => {
    const order = await client.newOrder(device(value));
    const authorization = await client.readAuthorization(order.authorizations[0]);
    const challenge = challengeOf(authorization, "device-attest-01");
    return { client, order, authorization, challenge, keyAuthorization: `${challenge.token}.${client.key.thumbprint}` };
  };
  type Begun = Awaited<ReturnType<typeof begun>>;
  const answer = ({ client, challenge }: Begun, attObj: string, more: object = {}) =>
    client.post(challenge.url, { ...more, attObj });
  const finalize = async (
    { client, order }: Begun,
    key: DeviceKey,
    names: { dns?: string[]; permanentIdentifiers?: string[] } = {},
  ) =>
    client.post(order.finalize, {
      csr: base64url(encodeCsr({ key: key.privateKey, dns: [], ip: [], uri: [], ...names })),
    });
  const certificateOf = async ({ client, order }: Begun): Promise<Buffer> => {
    const { certificate = "" } = await client.readOrder(order.url);
    const chain = (await client.postAsGet(certificate)).text;
    return Buffer.from(new witness.X509Certificate(leafOf(chain)).rawData);
  };

  await t.test("RDA-1 identifiers are the draft's grammar to the letter, one per order", async (t) => {
    for (const value of ["", "/1.2.3", "4242/", "4242/1", "4242/x", "4242/1.2.3/4", "x".repeat(513)])
      refused(
        t,
        await alice.post(acme.directory.newOrder, { identifiers: [device(value)] }),
        400,
        "malformed",
        value.slice(0, 20),
      );
    for (const value of ["42\u0000", "a\nb", "4242/1.2.3.4.5", "../../x".replaceAll("/", "\u0007")])
      refused(
        t,
        await alice.post(acme.directory.newOrder, { identifiers: [device(value)] }),
        400,
        "rejectedIdentifier",
      );
    const two = { identifiers: [device("4242"), device("77")] };
    refused(t, await alice.post(acme.directory.newOrder, two), 400, "malformed", "two devices");
    const module = { identifiers: [{ type: "hardware-module", value: "A/1.2.3" }] };
    refused(t, await alice.post(acme.directory.newOrder, module), 400, "unsupportedIdentifier");
  });

  await t.test("RDA-2 one challenge: type, token, and no hints", async (t) => {
    const { authorization, challenge, order } = await begun("4242");
    t.same(authorization.identifier, device("4242"));
    t.same(
      authorization.challenges.map(({ type }) => type),
      ["device-attest-01"],
    );
    t.same(Object.keys(challenge).sort(), ["expires", "status", "token", "type", "url"]);
    t.ok(Buffer.from(challenge.token, "base64url").length >= 16);
    for (const payload of [{}, { attObj: 1 }, { attObj: "" }, { attObj: "A".repeat(65_537) }])
      refused(t, await alice.post(challenge.url, payload), 400, "malformed");
    t.equal((await alice.readOrder(order.url)).status, "pending", "what is no response changes nothing");
  });

  await t.test(
    "RDA-3 RDA-4 RDA-6 a packed attestation: the certificate names the device, the CSR need not",
    async (t) => {
      const flow = await begun("4242");
      const key = deviceKey();
      const object = packedAttestation(yubico, flow.keyAuthorization, { serial: 4242 }, { key });
      const reply = await answer(flow, object, { unknown: { member: true } });
      t.match(reply.json(), { status: "valid" });
      refused(t, await finalize(flow, deviceKey()), 400, "badCSR", "another key than the attested one");
      refused(t, await finalize(flow, key, { permanentIdentifiers: ["77"] }), 400, "badCSR", "another device");
      refused(
        t,
        await finalize(flow, key, { permanentIdentifiers: ["4242/1.2.3"] }),
        400,
        "badCSR",
        "another assigner",
      );
      refused(t, await finalize(flow, key, { dns: ["4242"] }), 400, "badCSR", "a host of that name");
      t.equal((await finalize(flow, key)).status, 200);
      const leaf = await certificateOf(flow);
      const text = openssl(["x509", "-inform", "DER", "-noout", "-text"], leaf).toString();
      t.match(text, /X509v3 Subject Alternative Name: critical\s+othername:.*Permanent Identifier/i);
      t.match(text, /TLS Web Client Authentication/);
      const read = new witness.X509Certificate(leaf);
      t.ok(Buffer.from(read.publicKey.rawData).equals(key.spki));
      t.equal(read.subject, "");

      const { body } = await ca.inventory("/certificates?permanentIdentifier=4242");
      t.match(body, {
        certificates: [
          {
            permanentIdentifier: "4242",
            spiffeId: null,
            dnsNames: [],
            identity: { name: "permanent-identifier 4242" },
            evidenceSource: "keys",
            evidenceFormat: "packed",
            bindingLevel: "nonce",
            rule: "keys",
          },
        ],
      });
      t.match(JSON.stringify(body), '"claims":{"serial":"4242","touchPolicy":"cached"}');
      t.equal((await ca.inventory("/certificates?permanentIdentifier=424")).body["certificates"]?.toString(), "");
      const identities = (await ca.inventory("/identities?prefix=permanent-identifier")).body;
      t.match(identities, { identities: [{ kind: "device", name: "permanent-identifier 4242" }] });
      t.match(JSON.stringify(identities), "certificates?permanentIdentifier=4242");
    },
  );

  await t.test("RDA-5 the attestation is kept nowhere", async (t) => {
    const flow = await begun("77");
    const object = packedAttestation(yubico, flow.keyAuthorization, { serial: 77 });
    await answer(flow, object);
    const piece = object.slice(200, 260);
    for (const table of ["acme_authorization", "evidence_use", "audit_entry", "outbox", "instance_pin"]) {
      const rows = await query(
        ca,
        `select count(*)::int as n from ${table} where to_jsonb(${table})::text like '%${piece}%'`,
      );
      t.same(rows, [{ n: 0 }], table);
    }
  });

  await t.test("a host and a device of one name prove nothing for each other", async (t) => {
    const order = await alice.order({ identifiers: [device("77"), dns("77.example")] });
    t.equal(order.authorizations.length, 2);
  });

  await t.test("RDA-4 an attested permanent identifier, to the octet", async (t) => {
    const key = deviceKey();
    const slash = { permanentIdentifier: "Größe 7/1.2.3" };
    const wrong = await begun("Größe 7");
    evidenceRefused(
      t,
      await answer(wrong, packedAttestation(yubico, wrong.keyAuthorization, slash)),
      "identityNotDerived",
      "another assigner's device",
    );
    const plain = await begun("Größe 7");
    t.match(
      (
        await answer(
          plain,
          packedAttestation(yubico, plain.keyAuthorization, { permanentIdentifier: "Größe 7" }, { key, fmt: "step" }),
        )
      ).json(),
      { status: "valid" },
    );
    t.equal((await finalize(plain, key, { permanentIdentifiers: ["Größe 7"] })).status, 200);
  });

  await t.test(
    "RDA-3 Apple: the token is attested, level bearer; the certificate carries serial and assigner",
    async (t) => {
      const flow = await begun("C02XY/1.2.3.4");
      const key = deviceKey("P-384");
      const made = appleAttestation(apple, flow.challenge.token, { serial: "C02XY", udid: "0000-1" }, { key });
      t.match((await answer(flow, made)).json(), { status: "valid" });
      t.equal((await finalize(flow, key, { permanentIdentifiers: ["C02XY/1.2.3.4"] })).status, 200);
      // PermanentIdentifier: UTF8String "C02XY", OBJECT IDENTIFIER 1.2.3.4.
      t.match((await certificateOf(flow)).toString("hex"), "300c0c05433032585906032a0304");
      t.match((await ca.inventory("/certificates?permanentIdentifier=C02XY%2F1.2.3.4")).body, {
        certificates: [{ bindingLevel: "bearer", rule: "apples" }],
      });
      const wrong: readonly [string, string, (of: Begun) => string][] = [
        [
          "the key authorization in place of the token",
          "bindingMismatch",
          (of) => appleAttestation(apple, of.keyAuthorization, { serial: "C02XY" }),
        ],
        [
          "no freshness code",
          "bindingMissing",
          (of) => appleAttestation(apple, of.challenge.token, { serial: "C02XY" }, { nonce: Buffer.alloc(0) }),
        ],
        ["no device", "evidenceInvalid", (of) => appleAttestation(apple, of.challenge.token, {})],
        [
          "another device",
          "identityNotDerived",
          (of) => appleAttestation(apple, of.challenge.token, { serial: "C02XZ" }),
        ],
        [
          "another maker",
          "evidenceInvalid",
          (of) => appleAttestation(stranger, of.challenge.token, { serial: "C02XY" }),
        ],
      ];
      for (const [what, reason, make] of wrong) {
        const tried = await begun("C02XY/1.2.3.4");
        evidenceRefused(t, await answer(tried, make(tried)), reason, what);
      }
    },
  );

  await t.test("RDA-3 RDA-4 Android: from order to certificate, and what is refused", async (t) => {
    const flow = await begun("PHONE-1");
    const key = deviceKey();
    t.match(
      (await answer(flow, androidAttestation(google, flow.keyAuthorization, { serial: "PHONE-1" }, { key }))).json(),
      {
        status: "valid",
      },
    );
    t.equal((await finalize(flow, key)).status, 200);
    t.match((await ca.inventory("/certificates?permanentIdentifier=PHONE-1")).body, {
      certificates: [{ bindingLevel: "nonce", evidenceFormat: "android-key" }],
    });
    const serial = "PHONE-1";
    const other = deviceKey();
    const wrong: readonly [string, string, (ka: string) => string][] = [
      ["a key of software", "measurementMismatch", (ka) => androidAttestation(google, ka, { serial, levels: [0, 0] })],
      [
        "a key of software, attested by hardware",
        "measurementMismatch",
        (ka) => androidAttestation(google, ka, { serial, levels: [1, 0] }),
      ],
      ["an unlocked device", "measurementMismatch", (ka) => androidAttestation(google, ka, { serial, locked: false })],
      ["an unverified system", "measurementMismatch", (ka) => androidAttestation(google, ka, { serial, bootState: 2 })],
      [
        "no root of trust",
        "measurementMismatch",
        (ka) => androidAttestation(google, ka, { serial, rootOfTrust: false }),
      ],
      ["an imported key", "evidenceInvalid", (ka) => androidAttestation(google, ka, { serial, origin: 2 })],
      ["a key for decryption", "evidenceInvalid", (ka) => androidAttestation(google, ka, { serial, purposes: [1] })],
      [
        "a key for all applications",
        "evidenceInvalid",
        (ka) => androidAttestation(google, ka, { serial, allApplications: "hardware" }),
      ],
      [
        "the same by software",
        "evidenceInvalid",
        (ka) => androidAttestation(google, ka, { serial, allApplications: "software" }),
      ],
      [
        "another challenge",
        "bindingMismatch",
        (ka) => androidAttestation(google, ka, { serial, challenge: Buffer.alloc(32) }),
      ],
      [
        "no challenge",
        "bindingMissing",
        (ka) => androidAttestation(google, ka, { serial, challenge: Buffer.alloc(0) }),
      ],
      ["no identifier", "evidenceInvalid", (ka) => androidAttestation(google, ka, {})],
      ["another device", "identityNotDerived", (ka) => androidAttestation(google, ka, { serial: "PHONE-2" })],
      [
        "a signature by another key",
        "evidenceInvalid",
        (ka) => androidAttestation(google, ka, { serial }, { signer: other.privateKey }),
      ],
      ["another maker", "evidenceInvalid", (ka) => androidAttestation(stranger, ka, { serial })],
      [
        "a CA of its own",
        "evidenceInvalid",
        (ka) => androidAttestation(google, ka, { serial }, { plan: { cA: true } }),
      ],
      [
        "an expired attestation",
        "evidenceExpired",
        (ka) =>
          androidAttestation(google, ka, { serial }, { plan: { notBefore: new Date(0), notAfter: new Date(1000) } }),
      ],
      ["a statement of another format", "formatNotAccepted", () => attestationObject("none", [])],
    ];
    for (const [what, reason, make] of wrong) {
      const tried = await begun(serial);
      evidenceRefused(t, await answer(tried, make(tried.keyAuthorization)), reason, what);
      t.equal((await alice.readOrder(tried.order.url)).status, "invalid", what);
    }
  });

  await t.test("hostile: an attestation is for one account, one challenge, one time", async (t) => {
    const bob = await acme.account();
    const first = await begun("4242");
    const object = packedAttestation(yubico, first.keyAuthorization, { serial: 4242 });
    const second = await begun("4242");
    evidenceRefused(t, await answer(second, object), "evidenceInvalid", "another order of the same account");
    const others = await begun("4242", bob);
    evidenceRefused(t, await answer(others, object), "evidenceInvalid", "another account");
    refused(
      t,
      await bob.post(first.challenge.url, { attObj: object }),
      404,
      "malformed",
      "another account's challenge",
    );
    t.match((await answer(first, object)).json(), { status: "valid" });
    t.match((await answer(first, object)).json(), { status: "valid" }, "again: as it is");

    const apples = await begun("C02XY/1.2.3.4");
    const fresh = appleAttestation(apple, apples.challenge.token, { serial: "C02XY" });
    const later = await begun("C02XY/1.2.3.4");
    evidenceRefused(t, await answer(later, fresh), "bindingMismatch", "Apple's, at another order");
  });

  await t.test("hostile: malformed attestation objects end the challenge and nothing else", async (t) => {
    for (const object of [
      "!",
      "oA",
      "oWNmbXQB",
      "omNmbXRmcGFja2VkZ2F0dFN0bXQB",
      "omNmbXRmcGFja2VkZ2F0dFN0bXSg",
      "v_8",
      "oWNmbXRkbm9uZQ",
    ]) {
      const tried = await begun("4242");
      const reply = await answer(tried, object);
      t.match(
        reply.json(),
        { status: "invalid", error: { type: "urn:ietf:params:acme:error:badAttestationStatement" } },
        object,
      );
    }
  });

  await t.test("RDA-1 an external account binding says which devices an account may have", async (t) => {
    const key = await externalKey(ca, { identifiers: { permanentIdentifiers: ["4242", "C02XY/1.2.3.4"] } });
    const bound = await boundAccount(acme, key);
    t.equal((await begun("4242", bound)).order.status, "pending");
    t.equal((await begun("C02XY/1.2.3.4", bound)).order.status, "pending");
    const others = { identifiers: [device("77")] };
    refused(t, await bound.post(acme.directory.newOrder, others), 400, "rejectedIdentifier");
    const wrong = await keysOverRest(ca, "POST", "", { identifiers: { permanentIdentifiers: ["a/b"] } });
    t.equal(wrong.status, 400);
    t.match(wrong.text, /identifiers.permanentIdentifiers: .*OID of an assigner/);
  });

  await t.test("a pre-authorization of a device is taken up by one order, whoever holds one may revoke", async (t) => {
    const authorization = await alice.newAuthz(device("4242"));
    const challenge = challengeOf(authorization, "device-attest-01");
    const key = deviceKey();
    const keyAuthorization = `${challenge.token}.${alice.key.thumbprint}`;
    const object = packedAttestation(yubico, keyAuthorization, { serial: 4242 }, { key });
    t.match((await alice.post(challenge.url, { attObj: object })).json(), { status: "valid" });
    const order = await alice.newOrder(device("4242"));
    t.same([order.status, order.authorizations], ["ready", [authorization.url]]);
    const flow = { client: alice, order, authorization, challenge, keyAuthorization };
    t.equal((await finalize(flow, key)).status, 200);
    t.equal((await alice.newOrder(device("4242"))).status, "pending", "attested for one order");

    const leaf = await certificateOf(flow);
    const bob = await acme.account();
    const revocation = { certificate: leaf.toString("base64url") };
    refused(t, await bob.post(acme.directory.revokeCert, revocation), 403, "unauthorized");
    const his = await begun("4242", bob);
    await answer(his, packedAttestation(yubico, his.keyAuthorization, { serial: 4242 }));
    t.equal((await bob.post(acme.directory.revokeCert, revocation)).status, 200);
  });

  await t.test("a device in quarantine gets no order and no certificate", async (t) => {
    const { authority, operatorToken } = ca;
    const reply = await authority.server.inject({
      method: "POST",
      url: "/api/v1/quarantines",
      headers: { authorization: `Bearer ${operatorToken}` },
      payload: { permanentIdentifier: "77", reason: "lost" },
    });
    t.match(reply.json(), { identity: "permanent-identifier 77" });
    const order = await alice.post(acme.directory.newOrder, { identifiers: [device("77")] });
    t.equal(order.status, 403);
    t.equal((await begun("4242")).order.status, "pending", "others do");
  });
});
