/** A line of issuers other than `default` that cannot issue: the server is not ready, and says by which line nothing is issued. */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import ck from "pkcs11js";
import t, { type Test } from "tap";

import { acmeDriver } from "../support/acmeDriver.ts";
import { issued } from "../support/acmeFlows.ts";
import { certificateAuthority, type TestAuthority } from "../support/certificateAuthority.ts";
import { temporaryPostgres } from "../support/postgres.ts";
import { softhsmToken, type SofthsmToken } from "../support/softhsm.ts";

t.setTimeout(240_000); // tap's own 30 seconds are too few on a busy machine.

/** A second line that moves by command alone: what is taken from it does not come back by itself. */
const twoLines = { issuers: { servers: { automatic: false } } };

/** What `/readyz` says over TLS, as soon as it is of this status: an answer stands for a second. */
async function readiness(t: Test, ca: TestAuthority, status: number): Promise<Record<string, unknown>> {
  const driver = await acmeDriver(t, ca);
  for (let tried = 0; ; tried++) {
    const reply = await driver.request(`${ca.url}/readyz`);
    if (reply.status === status) return reply.json();
    if (tried === 300) throw new Error(`/readyz stays ${reply.status}: ${reply.text}`);
    await sleep(100);
  }
}

const activeOf = (ca: TestAuthority, line: string): string => ca.authority.issuers.active(line).id;

const red = (detail: string) => ({ status: 503, type: "urn:ietf:params:acme:error:serverInternal", detail });

t.test("its issuer was stopped, and none is active: red, by name, until the next one is active", async (t: Test) => {
  const ca = await certificateAuthority(t, { configuration: twoLines });
  t.match(await readiness(t, ca, 200), { status: "ready" });
  const post = async (path: string, payload: object) => {
    const headers = { authorization: `Bearer ${ca.operatorToken}` };
    return await ca.authority.server.inject({ method: "POST", url: `/api/v1/issuers${path}`, headers, payload });
  };
  const stopped = await post(`/${activeOf(ca, "servers")}/retire`, { force: true });
  t.match(stopped, { statusCode: 200 });
  t.match(await readiness(t, ca, 503), red("no issuer of the line servers is active here"));
  await issued(ca, await (await acmeDriver(t, ca)).account());

  const next = (await post("", { name: "servers" })).json<{ id: string }>();
  t.match(await post(`/${next.id}/activate`, { force: true }), { statusCode: 200 });
  t.match(await readiness(t, ca, 200), { status: "ready" });
});

t.test("its key is not here any more at the next start: the server starts, red, by name", async (t: Test) => {
  const { url: databaseUrl } = await temporaryPostgres(t);
  const before = await certificateAuthority(t, { configuration: twoLines, databaseUrl });
  const { label } = before.authority.issuers.active("servers").key;
  await before.close();
  rmSync(join(before.dataDir, "keys", `${label}.pem`));
  const again = { configuration: twoLines, databaseUrl, dataDir: before.dataDir };
  const ca = await certificateAuthority(t, { ...again, port: before.configuration.listenPort });
  t.match(await readiness(t, ca, 503), red("no issuer of the line servers is active here"));
  await issued(ca, await (await acmeDriver(t, ca)).account());
});

/** Destroys the private key of this label behind the server's back, by a session beside its own. */
function destroyKey({ module, token }: SofthsmToken, label: string): void {
  const cryptoki = new ck.PKCS11(module); // It is initialized, and logged in, by the server in this process.
  const slot = cryptoki.C_GetSlotList(true).find((one) => cryptoki.C_GetTokenInfo(one).label.trim() === token);
  if (slot === undefined) throw new Error("there is no token");
  const session = cryptoki.C_OpenSession(slot, ck.CKF_SERIAL_SESSION | ck.CKF_RW_SESSION);
  cryptoki.C_FindObjectsInit(session, [
    { type: ck.CKA_CLASS, value: ck.CKO_PRIVATE_KEY },
    { type: ck.CKA_LABEL, value: label },
  ]);
  const [key] = cryptoki.C_FindObjects(session, 1);
  cryptoki.C_FindObjectsFinal(session);
  if (key === undefined) throw new Error(`there is no key ${label}`);
  cryptoki.C_DestroyObject(session, key);
  cryptoki.C_CloseSession(session);
}

t.test("its key is destroyed in the token of a running server: red, by name, and nothing of the token", async (t) => {
  const token = softhsmToken(t);
  const { module, pinFile } = token;
  const keys = { provider: "pkcs11", pkcs11: { module, token: token.token, pinFile } };
  const ca = await certificateAuthority(t, { configuration: { ...twoLines, keys } });
  t.match(await readiness(t, ca, 200), { status: "ready" });
  destroyKey(token, ca.authority.issuers.active("servers").key.label);
  const refused = await readiness(t, ca, 503);
  t.match(refused, red("the issuer of the line servers cannot sign"));
  t.notMatch(JSON.stringify(refused), /CKR_|softhsm|pin/i);
  await issued(ca, await (await acmeDriver(t, ca)).account());
});
