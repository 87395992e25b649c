import t from "tap";
import { day, rotationGround, testLines } from "../../support/rotation.ts";

t.test("nobody activates an issuer that is not valid yet, or not any more: not by force either", async (t) => {
  const { clock, rotation, issuers } = await rotationGround(testLines({ automatic: false }));
  const right = clock.now;
  const at = (days: number): void => void (clock.now = new Date(right.getTime() + days * day * 1000));
  at(10); // The clock of whoever makes it is ahead.
  const id = await rotation.prepare("issuing", "default", "test");
  await rotation.publish(id, "test");
  for (const days of [0, 9.9, 101]) {
    at(days);
    for (const force of [false, true])
      await t.rejects(rotation.activate(id, "test", force), {
        name: "NotMoved",
        message: /^the issuer is valid from /,
      });
  }
  at(11);
  await rotation.activate(id, "test", true);
  t.equal(issuers.active("default").id, id);
});
