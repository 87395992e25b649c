import t from "tap";
import { createGate, GateFull } from "../../src/outbound/gate.ts";

const patient = new AbortController().signal;
const limits = { perTarget: 2, inAll: 3, waitingPerTarget: 2, waitingInAll: 3, patienceMs: 10_000 };

/** Lets everything that can go on go on. */
const settle = () => new Promise((resolve) => setImmediate(resolve));

t.test("a full target waits, others pass; places are given on in order of arrival", async (t) => {
  const gate = createGate(limits);
  const admitted: string[] = [];
  const enter = async (target: string, label: string) => {
    const leave = await gate.enter(target, patient);
    admitted.push(label);
    return leave;
  };
  const first = await enter("a", "a1");
  await enter("a", "a2");
  void enter("a", "a3");
  void enter("a", "a4");
  const other = await enter("b", "b1");
  void enter("b", "b2");
  await settle();
  t.same(admitted, ["a1", "a2", "b1"], "the third for a waits for a's room, the second for b for room in all");

  other();
  other();
  await settle();
  t.same(admitted.slice(3), ["b2"], "a place is given back once, and the full target is passed over");
  first();
  await settle();
  t.same(admitted.slice(4), ["a3"]);
});

t.test("too many waiting are refused, for a target and in all", async (t) => {
  const gate = createGate({ ...limits, perTarget: 1, inAll: 1 });
  await gate.enter("a", patient);
  void gate.enter("a", patient);
  void gate.enter("a", patient);
  await t.rejects(gate.enter("a", patient), GateFull);
  void gate.enter("b", patient);
  await t.rejects(gate.enter("c", patient), GateFull);
});

t.test("whoever gives up frees the place in the queue", async (t) => {
  const gate = createGate({ ...limits, perTarget: 1, waitingPerTarget: 1 });
  const leave = await gate.enter("a", patient);
  const controller = new AbortController();
  const waiting = gate.enter("a", controller.signal);
  controller.abort(new Error("gave up"));
  await t.rejects(waiting, { message: "gave up" });
  await t.rejects(gate.enter("a", controller.signal), { message: "gave up" });
  const next = gate.enter("a", patient);
  leave();
  (await next)();
  t.type(await gate.enter("a", patient), "function", "nobody who gave up holds a place");
});

t.test("whoever has waited too long is told, and holds up nobody", async (t) => {
  // The gate's own timer keeps no process alive.
  const alive = setInterval(() => undefined, 10);
  t.teardown(() => clearInterval(alive));
  const gate = createGate({ ...limits, perTarget: 1, patienceMs: 30 });
  const leave = await gate.enter("a", patient);
  await t.rejects(gate.enter("a", patient), GateFull);
  const next = gate.enter("a", patient);
  leave();
  (await next)();
  (await gate.enter("a", patient))();
});
