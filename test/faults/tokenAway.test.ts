/**
 * The token goes away between intent and signature: the order is processing, readiness red; once the token is back, all is made up for. While it
 * is known to be away, orders are refused before anything is written.
 */
import { mkdir, rename, rmdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import ck from "pkcs11js";
import t, { type Test } from "tap";

import { acmeDriver, type AcmeClient, type Order } from "../support/acmeDriver.ts";
import { attested } from "../support/acmeFlows.ts";
import { certificateAuthority } from "../support/certificateAuthority.ts";
import { softhsmToken, type SofthsmToken } from "../support/softhsm.ts";

t.setTimeout(240_000); // tap's own 30 seconds are too few for real processes on a busy machine.

/** A token that can be pulled out and put back. */
function removable(token: SofthsmToken) {
  const [tokens, drawer] = [join(token.directory, "tokens"), join(token.directory, "drawer")];
  return {
    async pull(): Promise<void> {
      await rename(tokens, drawer);
      await mkdir(tokens);
      // SoftHSM reads its folder when it is initialized: with this, open sessions end as those of a token that is unplugged.
      new ck.PKCS11(token.module).C_Finalize();
    },
    async putBack(): Promise<void> {
      await rmdir(tokens);
      await rename(drawer, tokens);
    },
  };
}

/** Much longer than the settling job's interval. */
const patienceMs = 120_000;

async function settledOrder(alice: AcmeClient, url: string): Promise<Order> {
  for (let waitedMs = 0; waitedMs < patienceMs; waitedMs += 200) {
    const order = await alice.readOrder(url);
    if (order.status !== "processing") return order;
    await sleep(200);
  }
  throw new Error("the order stays processing");
}

t.test(
  "H-28 R7.4-8 finalize without a token: processing with Retry-After, red readiness, and valid by itself once the token is back",
  async (t: Test) => {
    const token = softhsmToken(t);
    const { module, pinFile } = token;
    let aheadMs = 0;
    const ca = await certificateAuthority(t, {
      configuration: { keys: { provider: "pkcs11", pkcs11: { module, token: token.token, pinFile } } },
      now: () => new Date(Date.now() + aheadMs),
    });
    const driver = await acmeDriver(t, ca);
    const ready = async (): Promise<number> => (await driver.request(`${ca.url}/readyz`)).status;
    /** An answer about readiness stands for a second, and a token that is away is tried once a second. */
    const readyIs = async (status: number): Promise<void> => {
      for (let waitedMs = 0; (await ready()) !== status; waitedMs += 200) {
        if (waitedMs > patienceMs) throw new Error(`readiness does not become ${status}`);
        await sleep(200);
      }
    };
    const alice = await driver.account();
    const flow = await attested(ca, alice);
    const other = await attested(ca, alice);
    t.equal(await ready(), 200);

    const plug = removable(token);
    await plug.pull();
    const reply = await alice.post(flow.order.finalize, { csr: flow.key.csr({ uri: [flow.spiffeId] }) });
    t.equal(reply.status, 200);
    t.equal(reply.json()["status"], "processing");
    t.match(reply.headers["retry-after"], /^\d+$/);
    t.equal((await alice.readOrder(flow.order.url)).status, "processing", "and no failure of ours makes it invalid");
    const refused = await alice.post(other.order.finalize, { csr: other.key.csr({ uri: [other.spiffeId] }) });
    t.match(refused, { status: 503, headers: { "retry-after": /^\d+$/ } });
    t.equal(refused.json()["type"], "urn:ietf:params:acme:error:serverInternal");
    t.notMatch(refused.text, /CKR_|softhsm|pin/i);
    t.equal((await alice.readOrder(other.order.url)).status, "ready", "nothing was written for what cannot be signed");
    await readyIs(503);
    const { status, headers, text } = await driver.request(`${ca.url}/readyz`);
    t.equal(status, 503);
    t.match(headers["retry-after"], /^\d+$/);
    t.notMatch(text, /CKR_|softhsm|pin/i, "what is wrong with the token is for the log");
    t.equal((await driver.request(`${ca.url}/healthz`)).status, 200);

    await plug.putBack();
    await readyIs(200); // Again, without a restart.
    const second = await alice.post(other.order.finalize, { csr: other.key.csr({ uri: [other.spiffeId] }) });
    t.equal(second.json()["status"], "valid", "the order that was refused is issued at once");
    aheadMs = 30_000; // The job leaves an intent alone for 20 seconds.
    const settled = await settledOrder(alice, flow.order.url);
    t.equal(settled.status, "valid");
    const downloaded = await alice.postAsGet(settled.certificate ?? "");
    t.equal(downloaded.status, 200);
    const { body } = await ca.inventory(`/certificates?spiffeId=${encodeURIComponent(flow.spiffeId)}`);
    t.match(body["certificates"], { length: 1, 0: { pem: downloaded.text.split(/(?<=END CERTIFICATE-----\n)/)[0] } });
  },
);
