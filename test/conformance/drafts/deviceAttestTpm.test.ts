/** draft-ietf-acme-device-attest-09 with a TPM (WebAuthn's statement `tpm`), from order to certificate. */
// oxlint-disable-next-line import/no-unassigned-import -- @peculiar/x509 wants its side effect first
import "reflect-metadata";
import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import * as witness from "@peculiar/x509";
import t from "tap";
import { encodeCsr } from "../../../src/x509/csrWriter.ts";
import { pemEncode } from "../../../src/x509/pem.ts";
import { attributes, softwareKey } from "../../attestation/tpm/softwareTpm.ts";
import { maker, purpose } from "../../attestation/tpm/tpmMaker.ts";
import { acmeDriver, type AcmeClient, base64url } from "../../support/acmeDriver.ts";
import { challengeOf, leafOf } from "../../support/acmeFlows.ts";
import { certificateAuthority } from "../../support/certificateAuthority.ts";
import { deviceKey, type DeviceKey } from "../../support/deviceAttestations.ts";
import { spkiOf } from "../../support/foreignCa.ts";
import { evidenceRefused, refused } from "../../support/refused.ts";
import { tpmAttestation, type TpmWishes } from "../../support/tpmAttestations.ts";

t.test("draft-ietf-acme-device-attest-09 by TPM", async (t) => {
  const [root, stranger] = [maker("Attestation CA"), maker("Attestation CA")];
  const rootsFile = join(t.testdir({}), "attestation-ca.pem");
  writeFileSync(rootsFile, pemEncode("CERTIFICATE", root.der));
  const [ak, rackAk] = [softwareKey("P-256"), softwareKey("P-384")];
  const rack = createHash("sha256").update(spkiOf(rackAk.publicKey)).digest("hex");
  const inMinutes = (minutes: number): Date => new Date((Math.floor(Date.now() / 1000) + 60 * minutes) * 1000);
  const soon = inMinutes(10);
  const ca = await certificateAuthority(t, {
    configuration: {
      profiles: {
        device: {
          description: "devices",
          identifiers: ["permanent-identifier"],
          lifetimeDefaultSeconds: 3600,
          lifetimeMinSeconds: 60,
          lifetimeMaxSeconds: 86_400,
          backdateSeconds: 30,
          keyKinds: ["ec-p256", "ec-p384"],
          extendedKeyUsage: ["clientAuth"],
        },
      },
      attestation: {
        developmentSource: false,
        sources: [{ ref: "pcs", format: "tpm-device", rootsFile }],
      },
      grants: [
        {
          name: "pcs",
          permanentIdentifier: "{permanentIdentifier}",
          source: "pcs",
          conditions: [{ claim: "permanentIdentifier", oneOf: ["PC-1", "PC-2"] }],
          minBinding: "nonce",
          profile: "device",
          recordClaims: ["permanentIdentifier", "manufacturer"],
        },
        {
          name: "assigned",
          permanentIdentifier: "PC-3/1.2.3",
          source: "pcs",
          conditions: [{ claim: "permanentIdentifier", equals: "PC-3/1.2.3" }],
          minBinding: "nonce",
          profile: "device",
        },
        {
          name: "racks",
          permanentIdentifier: "{akSha256}",
          source: "pcs",
          conditions: [{ claim: "akSha256", equals: rack }],
          minBinding: "nonce",
          profile: "device",
        },
      ],
    },
  });
  const acme = await acmeDriver(t, ca);
  const [alice, bob] = [await acme.account(), await acme.account()];

  const begun = async (value: string, client: AcmeClient = alice) => {
    const order = await client.newOrder({ type: "permanent-identifier", value });
    const challenge = challengeOf(await client.readAuthorization(order.authorizations[0]), "device-attest-01");
    return { client, order, challenge, keyAuthorization: `${challenge.token}.${client.key.thumbprint}` };
  };
  type Begun = Awaited<ReturnType<typeof begun>>;
  const answer = ({ client, challenge }: Begun, attObj: string) => client.post(challenge.url, { attObj });
  const attested = ({ keyAuthorization }: Begun, device: string | undefined, wishes: TpmWishes = {}): string =>
    tpmAttestation(root, keyAuthorization, device, { ak, ...wishes });
  const finalize = ({ client, order }: Begun, key: DeviceKey, permanentIdentifiers: string[] = []) =>
    client.post(order.finalize, {
      csr: base64url(encodeCsr({ key: key.privateKey, dns: [], ip: [], uri: [], permanentIdentifiers })),
    });
  const certificateOf = async ({ client, order }: Begun): Promise<witness.X509Certificate> => {
    const { certificate = "" } = await client.readOrder(order.url);
    return new witness.X509Certificate(leafOf((await client.postAsGet(certificate)).text));
  };

  await t.test("RDA-3 RDA-4 the device that the attestation CA named, and the key that its TPM made", async (t) => {
    const flow = await begun("PC-1");
    const key = deviceKey();
    t.match((await answer(flow, attested(flow, "PC-1", { key }))).json(), { status: "valid" });
    refused(t, await finalize(flow, deviceKey()), 400, "badCSR", "another key than the certified one");
    refused(t, await finalize(flow, key, ["PC-2"]), 400, "badCSR", "another device");
    t.equal((await finalize(flow, key, ["PC-1"])).status, 200);
    const leaf = await certificateOf(flow);
    t.ok(Buffer.from(leaf.publicKey.rawData).equals(key.spki));
    const { body } = await ca.inventory("/certificates?permanentIdentifier=PC-1");
    t.match(body, {
      certificates: [{ evidenceSource: "pcs", evidenceFormat: "tpm-device", bindingLevel: "nonce", rule: "pcs" }],
    });
    t.match(JSON.stringify(body), '"claims":{"manufacturer":"id:54534554","permanentIdentifier":"PC-1"}');

    const assigned = await begun("PC-3/1.2.3");
    const other = deviceKey();
    const bare = attested(assigned, "PC-3/1.2.3", { key: other, bare: true });
    t.match((await answer(assigned, bare)).json(), { status: "valid" }, "with an assigner, and a bare signature");
    t.equal((await finalize(assigned, other)).status, 200);
  });

  await t.test("RDA-4 a device that is called by the hash of its attestation key", async (t) => {
    const flow = await begun(rack);
    const key = deviceKey("P-384");
    const object = attested(flow, undefined, { key, ak: rackAk, hash: "sha384" });
    t.match((await answer(flow, object)).json(), { status: "valid" });
    t.equal((await finalize(flow, key)).status, 200);
    const tried = await begun(rack);
    evidenceRefused(t, await answer(tried, attested(tried, rack)), "identityNotDerived", "a name that is no hash");
  });

  await t.test("the certificate ends with that of the attestation key", async (t) => {
    const flow = await begun("PC-2");
    const key = deviceKey();
    const object = attested(flow, "PC-2", { key, certificate: { notAfter: soon } });
    t.match((await answer(flow, object)).json(), { status: "valid" });
    t.equal((await finalize(flow, key)).status, 200);
    t.ok((await certificateOf(flow)).notAfter.getTime() <= soon.getTime());
  });

  await t.test("RDA-3 hostile: what a TPM did not say for this challenge, account and device", async (t) => {
    const wrong: readonly [string, string, (of: Begun) => string][] = [
      ["another device", "identityNotDerived", (of) => attested(of, "PC-2")],
      ["a device that nobody named", "identityNotDerived", (of) => attested(of, undefined)],
      ["another account's", "bindingMismatch", () => tpmAttestation(root, "token.other", "PC-1", { ak })],
      ["no binding", "bindingMissing", (of) => attested(of, "PC-1", { extraData: Buffer.of() })],
      [
        "another attestation CA of that name",
        "evidenceInvalid",
        (of) => tpmAttestation(stranger, of.keyAuthorization, "PC-1", { ak }),
      ],
      [
        "an endorsement key's certificate",
        "evidenceInvalid",
        (of) => attested(of, "PC-1", { certificate: { purposes: [purpose.ek] } }),
      ],
      ["a key that may leave the TPM", "evidenceInvalid", (of) => attested(of, "PC-1", { attributeBits: 0x0004_0060 })],
      ["an attestation key", "evidenceInvalid", (of) => attested(of, "PC-1", { attributeBits: attributes.ak })],
      ["a signature by another key", "evidenceInvalid", (of) => attested(of, "PC-1", { signer: rackAk })],
      ["SHA-1", "evidenceInvalid", (of) => attested(of, "PC-1", { ak: softwareKey("rsa"), hash: "sha1" })],
      [
        "an attestation key's certificate that has run out",
        "evidenceExpired",
        (of) => attested(of, "PC-1", { certificate: { notAfter: inMinutes(-1) } }),
      ],
      ["no certify", "evidenceMalformed", (of) => attested(of, "PC-1", { members: { certInfo: undefined } })],
    ];
    for (const [what, reason, make] of wrong) {
      const tried = await begun("PC-1");
      evidenceRefused(t, await answer(tried, make(tried)), reason, what);
      t.equal((await alice.readOrder(tried.order.url)).status, "invalid", what);
    }
  });

  await t.test("hostile: an attestation is for one challenge of one account", async (t) => {
    const first = await begun("PC-1");
    const object = attested(first, "PC-1");
    for (const [what, client] of [
      ["another order of the account", alice],
      ["another account", bob],
    ] as const) {
      const other = await begun("PC-1", client);
      evidenceRefused(t, await answer(other, object), "bindingMismatch", what);
    }
    t.match((await answer(first, object)).json(), { status: "valid" }, "where it belongs");
  });
});
