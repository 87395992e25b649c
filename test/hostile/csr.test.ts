/** Requests for certificates that ask for too much, with keys that will not do, or with names that are no names (H-16, H-17, H-18a). */
// oxlint-disable-next-line import/no-unassigned-import -- the witness needs its side effect
import "reflect-metadata";
import * as witness from "@peculiar/x509";
import { createPublicKey, generateKeyPairSync, randomBytes } from "node:crypto";
import t from "tap";
import { defaultProfiles } from "../../src/config/schema.ts";
import { tags } from "../../src/x509/der.ts";
import {
  booleanTrue,
  constructed,
  der,
  encodeDer,
  objectIdentifier,
  octetString,
  primitive,
  sequence,
  setOfOne,
  smallInteger,
  utf8String,
  type DerPart,
} from "../../src/x509/derWriter.ts";
import { encodeName } from "../../src/x509/name.ts";
import { oids } from "../../src/x509/oid.ts";
import { acmeDriver, base64url, clientKey, dns, flattened, ip } from "../support/acmeDriver.ts";
import { certificateKey, http01Target, leafOf, validate } from "../support/acmeFlows.ts";
import { certificateAuthority } from "../support/certificateAuthority.ts";
import { refused } from "../support/refused.ts";
import { attribute, craftCsr, craftedSpki, extension, requesting, type CraftedParts } from "../x509/craftedCsr.ts";

const name = "web.localhost";
const dnsName = (value: string | Buffer): DerPart =>
  primitive(2, Buffer.isBuffer(value) ? value : Buffer.from(value, "latin1"));
const san = (...names: DerPart[]): DerPart => extension(oids.subjectAltName, sequence(...names));
const critical = (oid: string, value: DerPart): DerPart =>
  sequence(objectIdentifier(oid), booleanTrue, octetString(value));
const good: CraftedParts = { attributes: requesting(san(dnsName(name))) };

t.test("certification requests", async (t) => {
  const target = await http01Target(t);
  const ca = await certificateAuthority(t, {
    configuration: {
      validation: { http01Port: target.port },
      profiles: { ...defaultProfiles, server: { ...defaultProfiles["server"], keyKinds: ["ec-p256", "rsa"] } },
    },
  });
  const acme = await acmeDriver(t, ca);
  const alice = await acme.account();
  const bob = await acme.account();
  const ready = async (...identifiers: Parameters<typeof alice.newOrder>) => {
    const order = await alice.newOrder(...identifiers);
    await validate(target, alice, order);
    return order;
  };
  // One order for all that is refused: it must stay ready.
  const order = await ready(dns(name));
  const finalize = (csr: Buffer | string) => alice.post(order.finalize, { csr: base64url(csr) });
  const issue = async (csr: Buffer): Promise<witness.X509Certificate> => {
    const reply = await alice.post((await ready(dns(name))).finalize, { csr: base64url(csr) });
    if (reply.status !== 200) throw new Error(reply.text);
    const { text } = await alice.postAsGet(String(reply.json()["certificate"]));
    return new witness.X509Certificate(Buffer.from(leafOf(text), "base64url"));
  };
  const everything = (certificate: witness.X509Certificate) => ({
    subject: certificate.subject,
    extensions: certificate.extensions.map(({ type, critical: mark, value }) => [
      type,
      mark,
      Buffer.from(value).toString("hex"),
    ]),
  });

  t.test("R11.1-1 H-16a the key of any account → badCSR, and the order stays ready", async (t) => {
    const { keyChange } = acme.directory;
    for (const owner of [alice, bob]) {
      const reply = await alice.post(order.finalize, { csr: certificateKey(owner.key).csr({ dns: [name] }) });
      t.match(refused(t, reply, 400, "badCSR")["detail"], /ACME account/);
    }
    const carol = await acme.account();
    const next = clientKey();
    await carol.post(
      keyChange,
      flattened(
        next,
        { alg: next.alg, jwk: next.jwk, url: keyChange },
        { account: carol.account, oldKey: carol.key.jwk },
      ),
    );
    refused(
      t,
      await alice.post(order.finalize, { csr: certificateKey(next).csr({ dns: [name] }) }),
      400,
      "badCSR",
      "the key after a change",
    );
    t.equal((await alice.readOrder(order.url)).status, "ready");
  });

  t.test("H-16b keys that are weak, malformed or not of the profile → badCSR", async (t) => {
    const spkiOf = (n: Buffer, e = Buffer.of(1, 0, 1)): Buffer =>
      createPublicKey({
        key: { kty: "RSA", n: n.toString("base64url"), e: e.toString("base64url") },
        format: "jwk",
      }).export({ type: "spki", format: "der" });
    const modulus = (bits: number, last: number): Buffer => {
      const octets = randomBytes(bits / 8);
      octets[0] = 0x80 | (octets[0] ?? 0);
      octets[octets.length - 1] = last;
      return octets;
    };
    const times3 = Buffer.from((((1n << 2047n) / 3n) * 3n + 3n).toString(16), "hex");
    const point = (octets: Buffer, ...curve: DerPart[]): DerPart =>
      sequence(sequence(objectIdentifier(oids.ecPublicKey), ...curve), der(tags.bitString, Buffer.of(0), octets));
    const p256 = objectIdentifier(oids.prime256v1);
    const real = craftedSpki.subarray(-65);
    const off = Buffer.from(real);
    off[64] = (off[64] ?? 0) ^ 1;
    const spkis: [string, DerPart, RegExp][] = [
      ["RSA-1024", spkiOf(modulus(1024, 1)), /2048 to 4096/],
      ["RSA-8192", spkiOf(modulus(8192, 1)), /2048 to 4096/],
      ["e = 1", spkiOf(modulus(2048, 1), Buffer.of(1)), /65537/],
      ["e = 3", spkiOf(modulus(2048, 1), Buffer.of(3)), /65537/],
      ["an even modulus", spkiOf(modulus(2048, 2)), /RSA/],
      ["a modulus with the factor 3", spkiOf(times3), /RSA|modulus/],
      ["the point at infinity", point(Buffer.of(0), p256), /uncompressed|length/],
      ["a point off the curve", point(off, p256), /not on its curve/],
      [
        "a compressed point",
        point(Buffer.concat([Buffer.of(2 + ((real[64] ?? 0) & 1)), real.subarray(1, 33)]), p256),
        /uncompressed/,
      ],
      ["explicit parameters", point(real, sequence(smallInteger(1))), /parameters, not by name/],
      ["no curve", point(real), /curve|OBJECT IDENTIFIER|missing/i],
      [
        "secp256k1",
        generateKeyPairSync("ec", { namedCurve: "secp256k1" }).publicKey.export({ type: "spki", format: "der" }),
        /neither P-256 nor P-384/,
      ],
      [
        "P-521",
        generateKeyPairSync("ec", { namedCurve: "P-521" }).publicKey.export({ type: "spki", format: "der" }),
        /neither P-256 nor P-384/,
      ],
      ["Ed448", generateKeyPairSync("ed448").publicKey.export({ type: "spki", format: "der" }), /not of a kind/],
      ["X25519", generateKeyPairSync("x25519").publicKey.export({ type: "spki", format: "der" }), /not of a kind/],
    ];
    for (const [what, spki, why] of spkis)
      t.match(refused(t, await finalize(craftCsr({ ...good, spki })), 400, "badCSR", what)["detail"], why, what);
    for (const [what, pair] of [
      ["Ed25519", generateKeyPairSync("ed25519")],
      ["P-384", generateKeyPairSync("ec", { namedCurve: "P-384" })],
    ] as const) {
      const reply = await alice.post(order.finalize, { csr: certificateKey(pair).csr({ dns: [name] }) });
      t.match(refused(t, reply, 400, "badCSR", what)["detail"], /profile server does not allow/);
    }
    t.equal((await alice.readOrder(order.url)).status, "ready", "through all of this");
  });

  t.test("H-17a whatever a CSR asks for changes nothing in the certificate", async (t) => {
    const asked: DerPart[] = [
      critical(oids.basicConstraints, sequence(booleanTrue)),
      critical(oids.keyUsage, der(tags.bitString, Buffer.of(1, 0x86))),
      extension(
        oids.extendedKeyUsage,
        sequence(objectIdentifier("2.5.29.37.0"), objectIdentifier("1.3.6.1.5.5.7.3.3")),
      ),
      critical("2.5.29.30", sequence(constructed(0, sequence(dnsName("localhost"))))),
      extension(
        "2.5.29.31",
        sequence(sequence(constructed(0, constructed(0, primitive(6, Buffer.from("http://attacker.example/crl")))))),
      ),
      extension(
        "1.3.6.1.5.5.7.1.1",
        sequence(
          sequence(objectIdentifier("1.3.6.1.5.5.7.48.1"), primitive(6, Buffer.from("http://attacker.example"))),
        ),
      ),
      extension(oids.subjectKeyIdentifier, octetString(Buffer.alloc(20, 7))),
      extension(oids.authorityKeyIdentifier, sequence(primitive(0, Buffer.alloc(20, 7)))),
      critical("1.3.6.1.4.1.11129.2.4.3", der(tags.null)),
      extension("1.3.6.1.5.5.7.1.24", sequence(smallInteger(5))),
      critical("1.2.3.4.5.6", octetString(Buffer.from("unknown"))),
      critical(oids.acmeIdentifier, octetString(Buffer.alloc(32))),
      extension("2.5.29.32", sequence(sequence(objectIdentifier("2.5.29.32.0")))),
    ];
    const [plain, greedy] = [
      await issue(craftCsr(good)),
      await issue(craftCsr({ attributes: requesting(san(dnsName(name)), ...asked) })),
    ];
    t.same(everything(greedy), everything(plain));
    t.same(
      plain.extensions.map(({ type }) => type).sort(),
      [
        oids.keyUsage,
        oids.subjectAltName,
        oids.extendedKeyUsage,
        oids.authorityKeyIdentifier,
        oids.basicConstraints,
        oids.subjectKeyIdentifier,
        oids.noRevAvail,
      ]
        .sort()
        .filter((type) => plain.getExtension(type)),
      "nothing but what the profile puts there",
    );
    t.notOk(plain.getExtension(witness.BasicConstraintsExtension)?.ca);
    t.equal(plain.getExtension(witness.KeyUsagesExtension)?.usages, witness.KeyUsageFlags.digitalSignature);
    t.same(plain.getExtension(witness.ExtendedKeyUsageExtension)?.usages, [oids.serverAuth]);
  });

  t.test("H-17a a subject is not copied, nor is a chosen critical SAN", async (t) => {
    const subject = encodeName({ commonName: name, organization: "Somebody else" });
    const certificate = await issue(
      craftCsr({ subject, attributes: requesting(critical(oids.subjectAltName, sequence(dnsName(name)))) }),
    );
    t.same(everything(certificate), everything(await issue(craftCsr(good))));
    t.notMatch(certificate.subject, "Somebody");
  });

  t.test(
    "H-17b other attributes are ignored; several extensionRequests, and what is too large, are refused",
    async (t) => {
      const password = attribute("1.2.840.113549.1.9.7", utf8String("secret"));
      const request = attribute(oids.extensionRequest, sequence(san(dnsName(name))));
      const certificate = await issue(craftCsr({ attributes: constructed(0, password, request) }));
      t.same(everything(certificate), everything(await issue(craftCsr(good))));
      refused(t, await finalize(craftCsr({ attributes: constructed(0, request, request) })), 400, "badCSR", "two");
      refused(
        t,
        await finalize(
          craftCsr({
            attributes: constructed(0, attribute("1.2.840.113549.1.9.7", utf8String("x".repeat(17_000))), request),
          }),
        ),
        400,
        "badCSR",
        "large",
      );
    },
  );

  t.test("E a CN that is in the order counts as a name, one that is not is refused", async (t) => {
    const cn = (commonName: string): CraftedParts => ({ subject: encodeName({ commonName }) });
    t.equal(
      (await issue(craftCsr(cn(name)))).getExtension(witness.SubjectAlternativeNameExtension)?.names.items[0]?.value,
      name,
      "CN only",
    );
    t.ok(await issue(craftCsr({ ...good, ...cn("WEB.localhost") })));
    for (const commonName of ["other.localhost", "Somebody", "127.0.0.1", `${name}.`, "*.localhost"])
      refused(t, await finalize(craftCsr({ ...good, ...cn(commonName) })), 400, "badCSR", commonName);
    const twice = sequence(
      ...[name, name].map((one) => setOfOne(sequence(objectIdentifier(oids.commonName), utf8String(one)))),
    );
    refused(t, await finalize(craftCsr({ ...good, subject: twice })), 400, "badCSR", "two CNs");
  });

  t.test("H-18a names that are none → badCSR", async (t) => {
    const names: [string, DerPart[]][] = [
      ["NUL in a name", [dnsName(`${name}\0.attacker.example`)]],
      ["octets beyond IA5", [dnsName(Buffer.from("wéb.localhost"))]],
      ["a dot behind it", [dnsName(`${name}.`)]],
      ["a wildcard", [dnsName("*.localhost")]],
      ["an address as dNSName", [dnsName("127.0.0.1")]],
      ["an e-mail address", [dnsName(name), primitive(1, Buffer.from("a@web.localhost"))]],
      ["a directory name", [dnsName(name), constructed(4, encodeName({ commonName: "x" }))]],
      [
        "an otherName",
        [dnsName(name), constructed(0, objectIdentifier("1.3.6.1.4.1.311.20.2.3"), constructed(0, utf8String("a@b")))],
      ],
      ["a registered id", [dnsName(name), primitive(8, Buffer.of(42, 3))]],
      ["a uri", [dnsName(name), primitive(6, Buffer.from("spiffe://mayfly.localhost/dev/x"))]],
      ["the name as uri", [primitive(6, Buffer.from(name))]],
      ["no name", []],
      ["an empty name", [dnsName("")]],
      ["the same twice", [dnsName(name), dnsName(name)]],
      ["an address of 3 octets", [dnsName(name), primitive(7, Buffer.of(127, 0, 0))]],
    ];
    for (const [what, list] of names)
      refused(t, await finalize(craftCsr({ attributes: requesting(san(...list)) })), 400, "badCSR", what);
    refused(
      t,
      await finalize(craftCsr({ attributes: requesting(san(dnsName(name)), san(dnsName("x.localhost"))) })),
      400,
      "badCSR",
      "two SANs",
    );
    t.equal((await alice.readOrder(order.url)).status, "ready");
  });

  t.test("R8738-5 an address is an iPAddress of 4 or 16 octets", async (t) => {
    const pending = await alice.newOrder(ip("127.0.0.1"));
    t.equal(pending.status, "pending");
    const v4in6 = Buffer.concat([Buffer.alloc(10), Buffer.of(255, 255, 127, 0, 0, 1)]);
    refused(
      t,
      await finalize(craftCsr({ attributes: requesting(san(dnsName(name), primitive(7, v4in6))) })),
      400,
      "badCSR",
      "IPv4 in 16 octets",
    );
  });

  t.test(
    "H-16b H-17b broken DER of every length and with every octet changed ends in a refusal, never in a failure",
    async (t) => {
      const csr = craftCsr(good);
      const spoiled = Array.from({ length: 60 }, (_, n) => {
        const copy = Buffer.from(csr);
        const at = Math.floor((n * csr.length) / 60);
        copy[at] = (copy[at] ?? 0) ^ (1 << (n % 8));
        return n % 3 === 0 ? copy.subarray(0, at) : copy;
      });
      const replies = await Promise.all(spoiled.map(finalize));
      t.ok(replies.every(({ status, text }) => status === 400 && text.includes("badCSR")));
      t.equal((await alice.readOrder(order.url)).status, "ready");
      t.equal((await finalize(encodeDer(sequence()))).status, 400);
      t.equal((await finalize(csr)).status, 200, "and the good one does in the end");
    },
  );
});
