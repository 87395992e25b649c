/** Enclaves and confidential guests on the way through ACME: documents and reports of the tests' own platforms. */
import { X509Certificate } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { fingerprintOf } from "../../src/attestation/certificateChain.ts";
import { acmeDriver, uri, type AcmeClient, type Challenge, type Reply } from "../support/acmeDriver.ts";
import { bindingOf, certificateKey, type CertificateKey } from "../support/acmeFlows.ts";
import { certificateAuthority } from "../support/certificateAuthority.ts";
import { pemEncode } from "../../src/x509/pem.ts";
import { instanceId, nitroPlatform, pcrOf, type DocumentChanges } from "../support/nitroEnclave.ts";
import { evidenceRefused } from "../support/refused.ts";
import { policyOf, type ReportPlan, snpPlatform } from "../support/snpPlatform.ts";

const hour = 3_600_000;
const second = Math.floor(Date.now() / 1000) * 1000;
const validity = { notBefore: new Date(second - hour), notAfter: new Date(second + hour) };
const nitro = nitroPlatform(validity);
const amd = snpPlatform("Milan", validity);
const enclave = `spiffe://mayfly.localhost/enclave/${instanceId}`;
const guest = `spiffe://mayfly.localhost/guest/${"1d".repeat(32)}`;
const measurement = "4d".repeat(48);

interface Waiting {
  readonly alice: AcmeClient;
  readonly challenge: Challenge;
  readonly finalize: string;
  readonly key: CertificateKey;
  readonly binding: Buffer;
}

t.test("enclaves and guests", async (t) => {
  const chainFile = join(t.testdir({}), "milan.pem");
  await writeFile(
    chainFile,
    [amd.ask, amd.ark].map(({ certificate }) => pemEncode("CERTIFICATE", certificate)).join(""),
  );
  const ca = await certificateAuthority(t, {
    configuration: {
      trustDomain: "mayfly.localhost",
      attestation: {
        sources: [
          {
            ref: "enclaves",
            format: "aws-nitro",
            rootSha256: fingerprintOf(nitro.root.certificate),
            pcrs: [{ index: 8, values: [pcrOf(8).toString("hex")] }],
            pinning: { mode: "strict" },
          },
          {
            ref: "guests",
            format: "sev-snp",
            roots: [{ product: "Milan", sha256: fingerprintOf(amd.ark.certificate) }],
            certificateChainFiles: [chainFile],
            measurements: [measurement],
          },
        ],
      },
      grants: [
        {
          name: "enclaves",
          spiffeId: "spiffe://mayfly.localhost/enclave/{instanceId}",
          source: "enclaves",
          minBinding: "nonce",
          profile: "workload",
          recordClaims: ["pcr0", "moduleId"],
        },
        {
          name: "guests",
          spiffeId: "spiffe://mayfly.localhost/guest/{reportId}",
          source: "guests",
          conditions: [{ claim: "tcbMicrocode", min: 18 }],
          minBinding: "nonce",
          profile: "workload",
          recordClaims: ["measurement", "tcbMicrocode"],
        },
      ],
    },
  });
  const acme = await acmeDriver(t, ca);
  const alice = await acme.account();
  const bob = await acme.account();

  const waiting = async (who: AcmeClient, spiffeId: string): Promise<Waiting> => {
    const order = await who.order({ identifiers: [uri(spiffeId)] });
    const [challenge] = (await who.readAuthorization(order.authorizations[0])).challenges;
    if (challenge === undefined) throw new Error("no challenge");
    const key = certificateKey();
    return {
      alice: who,
      challenge,
      finalize: order.finalize,
      key,
      binding: Buffer.from(bindingOf(challenge, who.key, key.spki), "base64url"),
    };
  };
  const send = (
    { alice: who, challenge, key }: Waiting,
    ref: string,
    octets: Buffer,
    endorsements?: object,
  ): Promise<Reply> => {
    const format = ref === "enclaves" ? "aws-nitro" : "sev-snp";
    return who.post(challenge.url, {
      spki: key.spki,
      evidence: [
        { format, ref, value: octets.toString("base64url"), ...(endorsements !== undefined && { endorsements }) },
      ],
    });
  };
  const document = (nonce: Buffer, changes: DocumentChanges = {}): Buffer =>
    nitro.document({ nonce, ...changes, members: { timestamp: Date.now(), ...changes.members } });
  const report = (binding: Buffer, plan: ReportPlan = {}): Buffer =>
    amd.report({ reportData: Buffer.concat([binding, Buffer.alloc(32)]), ...plan });
  const vcek = { vcek: amd.vcek.toString("base64url") };
  const certified = async (flow: Waiting, spiffeId: string): Promise<X509Certificate> => {
    const reply = await flow.alice.post(flow.finalize, { csr: flow.key.csr({ uri: [spiffeId] }) });
    return new X509Certificate((await flow.alice.postAsGet(String(reply.json()["certificate"]))).text);
  };

  t.test("the directory and the challenge say what is accepted", async (t) => {
    const { challenge } = await waiting(alice, enclave);
    t.match(challenge, { accept: [{ format: "aws-nitro", ref: "enclaves", minBinding: "nonce" }] });
    t.match((await waiting(alice, guest)).challenge, {
      accept: [{ format: "sev-snp", ref: "guests", minBinding: "nonce" }],
    });
  });

  t.test("an enclave gets its certificate, and the inventory knows its image", async (t) => {
    const flow = await waiting(alice, enclave);
    const reply = await send(flow, "enclaves", document(flow.binding));
    t.equal(reply.json()["status"], "valid", reply.text);
    const certificate = await certified(flow, enclave);
    t.equal(certificate.subjectAltName, `URI:${enclave}`);
    const { body } = await ca.inventory(`/certificates/${certificate.serialNumber.toLowerCase()}`);
    t.match(JSON.stringify(body), pcrOf(0).toString("hex"));
    t.notMatch(
      JSON.stringify(body),
      document(flow.binding).toString("base64url").slice(0, 100),
      "nothing of the evidence itself",
    );
  });

  t.test("a guest gets its certificate by its chip's, from the endorsement", async (t) => {
    const flow = await waiting(alice, guest);
    const reply = await send(flow, "guests", report(flow.binding), vcek);
    t.equal(reply.json()["status"], "valid", reply.text);
    t.equal((await certified(flow, guest)).subjectAltName, `URI:${guest}`);
  });

  t.test("replay: evidence of one challenge is for no other, of the same account or another's", async (t) => {
    const first = await waiting(alice, enclave);
    const octets = document(first.binding);
    t.equal((await send(first, "enclaves", octets)).json()["status"], "valid");
    evidenceRefused(t, await send(await waiting(alice, enclave), "enclaves", octets), "bindingMismatch");
    evidenceRefused(t, await send(await waiting(bob, enclave), "enclaves", octets), "bindingMismatch");
    const guests = await waiting(alice, guest);
    const signed = report(guests.binding);
    t.equal((await send(guests, "guests", signed, vcek)).json()["status"], "valid");
    evidenceRefused(t, await send(await waiting(bob, guest), "guests", signed, vcek), "bindingMismatch");
  });

  t.test("H-25a committed to another key than the one it is bound to", async (t) => {
    const flow = await waiting(alice, guest);
    evidenceRefused(
      t,
      await send({ ...flow, key: certificateKey() }, "guests", report(flow.binding), vcek),
      "bindingMismatch",
    );
  });

  t.test("an enclave that belongs to one account is no other's", async (t) => {
    const flow = await waiting(bob, enclave);
    evidenceRefused(t, await send(flow, "enclaves", document(flow.binding)), "instancePinned");
  });

  t.test("what must not do is refused with its reason, and the message says nothing of the policy", async (t) => {
    const enclaves: readonly (readonly [string, DocumentChanges, string])[] = [
      ["debug mode", { pcrs: { 0: Buffer.alloc(48) } }, "measurementMismatch"],
      ["another signer of the image", { pcrs: { 8: pcrOf(9) } }, "measurementMismatch"],
      ["an old document", { members: { timestamp: Date.now() - 301_000 } }, "evidenceExpired"],
      ["no nonce", { members: { nonce: null } }, "bindingMissing"],
      ["another platform", { signedBy: amd.keys }, "evidenceInvalid"],
      ["another machine", { members: { module_id: "i-00000000000000000-enc0123456789abcdef" } }, "identityNotDerived"],
    ];
    for (const [name, changes, reason] of enclaves) {
      const flow = await waiting(alice, enclave);
      const reply = await send(flow, "enclaves", document(flow.binding, changes));
      evidenceRefused(t, reply, reason, name);
      t.notMatch(reply.text, pcrOf(8).toString("hex").slice(0, 16));
    }
    const guests: readonly (readonly [string, ReportPlan, string])[] = [
      ["debug", { policy: policyOf.debug }, "measurementMismatch"],
      ["another measurement", { measurement: Buffer.alloc(48, 1) }, "measurementMismatch"],
      ["another chip", { chipId: Buffer.alloc(64, 1) }, "evidenceInvalid"],
      ["another level", { vmpl: 2 }, "measurementMismatch"],
      ["signed by another key", { signedBy: nitro.leafKeys }, "evidenceInvalid"],
    ];
    for (const [name, plan, reason] of guests) {
      const flow = await waiting(alice, guest);
      const reply = await send(flow, "guests", report(flow.binding, plan), vcek);
      evidenceRefused(t, reply, reason, name);
      t.notMatch(reply.text, measurement.slice(0, 16));
    }
    const flow = await waiting(alice, guest);
    evidenceRefused(
      t,
      await send(flow, "guests", report(flow.binding)),
      "evidenceInvalid",
      "without the chip's certificate",
    );
  });

  t.test("one source's evidence is not taken for another's", async (t) => {
    const flow = await waiting(alice, guest);
    evidenceRefused(t, await send(flow, "enclaves", document(flow.binding)), "formatNotAccepted");
  });
});
