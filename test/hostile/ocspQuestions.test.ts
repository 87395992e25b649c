import t from "tap";
import { readOcspResponse } from "../../src/x509/ocspResponse.ts";
import { ocspGround } from "../support/ocspGround.ts";

const said = ({ der }: { der: Buffer }) => {
  const response = readOcspResponse(der);
  return response.error ?? response.basic.responses[0]?.status;
};

t.test("who asks about a serial as if it were another issuer's spoils nobody else's answer", async (t) => {
  const { issuing: other } = await ocspGround();
  let issuers = [other];
  const ground = await ocspGround({ issuers: () => issuers });
  issuers = [other, ground.issuing];
  await ground.responder.catchUp();
  const serial = ground.record({ revocation: { at: ground.clock.now, reason: 1 } });
  const wrong = ground.responder.answer(ground.ask(serial, { issuer: other }));
  const right = ground.responder.answer(ground.ask(serial));
  t.equal(said(await wrong), "unauthorized");
  t.equal(said(await right), "revoked", "asked at the same moment");
});
