/** RFC 8555 §7.6: who may revoke what. */
import { X509Certificate } from "node:crypto";
import t, { type Test } from "tap";
import { acmeDriver, base64url, clientKey, dns, type ClientKey, type Reply } from "../../support/acmeDriver.ts";
import {
  attested,
  certificateKey,
  http01Target,
  idOf,
  issued,
  leafOf,
  query,
  respond,
  attesting,
  validate,
  type CertificateKey,
} from "../../support/acmeFlows.ts";
import { certificateAuthority } from "../../support/certificateAuthority.ts";
import { refused } from "../../support/refused.ts";

/** The certificate's key as one that signs requests. */
const signing = ({ privateKey }: CertificateKey, jwkFrom: ClientKey = clientKey()): ClientKey => {
  const { kty, crv, x, y } = privateKey.export({ format: "jwk" });
  return { ...jwkFrom, privateKey, jwk: { kty: kty ?? "", crv: crv ?? "", x: x ?? "", y: y ?? "" } };
};

t.test("RFC 8555 §7.6", async (t) => {
  const target = await http01Target(t);
  const ca = await certificateAuthority(t, { configuration: { validation: { http01Port: target.port } } });
  const acme = await acmeDriver(t, ca);
  const { revokeCert } = acme.directory;
  const [alice, bob] = [await acme.account(), await acme.account()];
  const stateOf = async (chain: string): Promise<unknown> => {
    const { serialNumber } = new X509Certificate(Buffer.from(leafOf(chain), "base64url"));
    return (await ca.inventory(`/certificates/${serialNumber}`)).body["state"];
  };
  const named = async (client: typeof alice, ...names: string[]) => {
    const order = await client.newOrder(...names.map(dns));
    await validate(target, client, order);
    const key = certificateKey();
    const reply = await client.post(order.finalize, { csr: key.csr({ dns: names }) });
    return { order, key, chain: (await client.postAsGet(String(reply.json()["certificate"]))).text };
  };
  const gone = async (t: Test, reply: Reply, chain: string, by: string): Promise<void> => {
    t.equal(reply.status, 200, by);
    t.equal(reply.body.length, 0, `${by}: no body`);
    t.equal(await stateOf(chain), "revoked", by);
  };

  t.test("R7.6-1 by the account that ordered it", async (t) => {
    const { chain } = await issued(ca, alice);
    await gone(t, await alice.post(revokeCert, { certificate: leafOf(chain) }), chain, "the account");
  });

  t.test("R7.6-1 R7.6-6 by the certificate's key, also when its account is deactivated", async (t) => {
    const carol = await acme.account();
    const [first, second] = [await issued(ca, carol), await issued(ca, carol)];
    await gone(
      t,
      await acme.client(signing(first.key)).post(revokeCert, { certificate: leafOf(first.chain), reason: 1 }),
      first.chain,
      "the key",
    );
    await carol.post(carol.account, { status: "deactivated" });
    refused(
      t,
      await carol.post(revokeCert, { certificate: leafOf(second.chain) }),
      401,
      "unauthorized",
      "the deactivated account",
    );
    refused(
      t,
      await acme.client().post(revokeCert, { certificate: leafOf(second.chain) }),
      403,
      "unauthorized",
      "another key",
    );
    refused(
      t,
      await acme.client(carol.key).post(revokeCert, { certificate: leafOf(second.chain) }),
      403,
      "unauthorized",
      "its account's key as jwk",
    );
    await gone(
      t,
      await acme.client(signing(second.key)).post(revokeCert, { certificate: leafOf(second.chain) }),
      second.chain,
      "the key",
    );
  });

  t.test("R7.6-1 H-20a by an account that is authorized for all its names, and not for all but one", async (t) => {
    const { chain } = await named(alice, "one.localhost", "two.localhost");
    const certificate = leafOf(chain);
    refused(t, await bob.post(revokeCert, { certificate }), 403, "unauthorized", "for none");
    const one = await named(bob, "one.localhost");
    refused(t, await bob.post(revokeCert, { certificate }), 403, "unauthorized", "for all but one");
    await query(ca, "update acme_authorization set expires_at = now() where id = $1", [
      idOf(one.order.authorizations[0]),
    ]);
    await named(bob, "two.localhost");
    refused(t, await bob.post(revokeCert, { certificate }), 403, "unauthorized", "one of them expired");
    const again = await named(bob, "one.localhost");
    await bob.post(again.order.authorizations[0], { status: "deactivated" });
    refused(t, await bob.post(revokeCert, { certificate }), 403, "unauthorized", "one of them deactivated");
    t.equal(await stateOf(chain), "valid");
    await named(bob, "one.localhost");
    await gone(t, await bob.post(revokeCert, { certificate }), chain, "all of them");
  });

  t.test("R7.6-1 a SPIFFE ID: another account that proved it may", async (t) => {
    const { chain, subject } = await issued(ca, alice);
    refused(t, await bob.post(revokeCert, { certificate: leafOf(chain) }), 403, "unauthorized");
    const waiting = await attesting(ca, bob, subject);
    refused(
      t,
      await bob.post(revokeCert, { certificate: leafOf(chain) }),
      403,
      "unauthorized",
      "a pending authorization",
    );
    await respond(waiting, "no token");
    refused(t, await bob.post(revokeCert, { certificate: leafOf(chain) }), 403, "unauthorized", "a failed one");
    await attested(ca, bob, subject);
    await gone(t, await bob.post(revokeCert, { certificate: leafOf(chain) }), chain, "a valid one");
  });

  t.test("R7.6-2 the reasons that clients may give", async (t) => {
    const { chain } = await issued(ca, alice);
    const certificate = leafOf(chain);
    for (const reason of [2, 6, 7, 8, 10, 11, -1, 256, 1e21])
      refused(t, await alice.post(revokeCert, { certificate, reason }), 400, "badRevocationReason", String(reason));
    for (const reason of ["1", 1.5, true, [1], { code: 1 }])
      refused(t, await alice.post(revokeCert, { certificate, reason }), 400, "malformed", JSON.stringify(reason));
    t.equal(await stateOf(chain), "valid");
    for (const reason of [0, 1, 3, 4, 5, 9]) {
      const one = await issued(ca, alice);
      t.equal((await alice.post(revokeCert, { certificate: leafOf(one.chain), reason })).status, 200, String(reason));
    }
  });

  t.test("R7.6-4 without a reason none is recorded, and reason 0 is one", async (t) => {
    const recorded = async (reason?: number): Promise<unknown> => {
      const { chain } = await issued(ca, alice);
      const payload = { certificate: leafOf(chain), ...(reason !== undefined && { reason }) };
      t.equal((await alice.post(revokeCert, payload)).status, 200);
      const { serialNumber } = new X509Certificate(chain);
      return (await ca.inventory(`/certificates/${serialNumber}`)).body["revocationReason"];
    };
    t.equal(await recorded(), null);
    t.equal(await recorded(0), 0);
    t.equal(await recorded(4), 4);
  });

  t.test("R7.6-3 revoked once: parallel revocations, one 200, the rest alreadyRevoked", async (t) => {
    const { chain, key } = await issued(ca, alice);
    const certificate = leafOf(chain);
    const replies = await Promise.all(
      Array.from({ length: 12 }, (_, n) =>
        (n % 2 ? alice : acme.client(signing(key))).post(revokeCert, { certificate, reason: n % 2 ? 1 : 4 }),
      ),
    );
    t.equal(replies.filter(({ status }) => status === 200).length, 1);
    for (const reply of replies.filter(({ status }) => status !== 200)) refused(t, reply, 400, "alreadyRevoked");
    refused(t, await alice.post(revokeCert, { certificate }), 400, "alreadyRevoked", "and later");
  });

  t.test("R7.6-5 H-20a what is not one of our certificates, to the octet, is refused", async (t) => {
    const { chain } = await issued(ca, alice);
    const der = Buffer.from(leafOf(chain), "base64url");
    const altered = (at: number): string => {
      const copy = Buffer.from(der);
      copy.writeUInt8((copy.at(at) ?? 0) ^ 1, at < 0 ? der.length + at : at);
      return base64url(copy);
    };
    const other = await certificateAuthority(t);
    const stranger = await issued(other, await (await acmeDriver(t, other)).account());
    refused(t, await alice.post(revokeCert, { certificate: leafOf(stranger.chain) }), 404, "malformed", "another CA's");
    refused(
      t,
      await alice.post(revokeCert, { certificate: base64url(new X509Certificate(ca.root).raw) }),
      404,
      "malformed",
      "the root",
    );
    for (const at of [-1, -20, der.length >> 1]) {
      const reply = await alice.post(revokeCert, { certificate: altered(at) });
      t.ok([400, 404].includes(reply.status), `octet ${at} altered: ${reply.status}`);
      refused(t, reply, reply.status, "malformed");
    }
    for (const certificate of [
      undefined,
      null,
      7,
      "",
      "AAAA",
      base64url(Buffer.concat([der, Buffer.of(0)])),
      base64url(der.subarray(0, -1)),
      base64url(chain),
      base64url(Buffer.alloc(20_000, 0x30)),
    ])
      refused(t, await alice.post(revokeCert, { certificate }), 400, "malformed", String(certificate).slice(0, 12));
    t.equal(await stateOf(chain), "valid");
  });
});
