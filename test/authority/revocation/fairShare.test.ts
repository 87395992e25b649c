import t from "tap";
import { createFairShare } from "../../../src/authority/revocation/fairShare.ts";

/** Tries so often; how many were let, with what ends them. */
function tried(share: ReturnType<typeof createFairShare>, client: string, times: number) {
  const gate = Promise.withResolvers<true>();
  const running = Array.from({ length: times }, () => share.run(client, () => gate.promise));
  const end = async (): Promise<void> => {
    gate.resolve(true);
    for (const each of running) await each;
  };
  return { let: running.filter(Boolean).length, end };
}

t.test("no client has more under way than there is room left, and whoever comes next finds room", async (t) => {
  const share = createFairShare(1000);
  const [one, two, three] = ["one", "two", "three"].map((client) => tried(share, client, 5_000));
  t.same([one?.let, two?.let, three?.let], [500, 250, 125]);
  await one?.end();
  t.equal(tried(share, "one", 5_000).let, 313, "what one gives back is there for all");
  t.equal(tried(share, "two", 5_000).let, 31);
});

t.test("one that fails makes room as well, also where there is room for one alone", async (t) => {
  const share = createFairShare(1);
  for (let n = 0; n < 3; n++)
    await t.rejects(async () => await share.run("one", () => Promise.reject(new Error("away"))), { message: "away" });
  const { end } = tried(share, "one", 1);
  t.equal(
    share.run("two", async () => true),
    undefined,
  );
  await end();
  t.equal(await share.run("two", async () => true), true);
});
