/**
 * A server that kills itself (SIGKILL) at a chosen step of a rotation. Run as a program; `MAYFLY_CRASH_AT` names the step,
 * `MAYFLY_CLOCK_AHEAD_SECONDS` sets its clock forward, or back. Everything else is what `mayfly serve` does.
 */
import type { RotationStore } from "../../src/authority/rotationPorts.ts";
import { compose } from "../../src/compose.ts";
import { loadConfiguration } from "../../src/config/load.ts";

/** In the order of a rotation. `none` is a server that lives. */
export const rotationCrashPoints = [
  "before insert",
  "after insert",
  "before publish",
  "after publish",
  "before activate",
  "after activate",
  "before retire",
  "after retire",
  "none",
] as const;
export type RotationCrashPoint = (typeof rotationCrashPoints)[number];

/** This file, to be started. */
export const rotationCrashServer = import.meta.filename;

function dying(store: RotationStore, dieAt: (here: RotationCrashPoint) => void): RotationStore {
  async function around<T>(step: "insert" | "publish" | "activate" | "retire", act: () => Promise<T>): Promise<T> {
    dieAt(`before ${step}`);
    const outcome = await act();
    // An activation that comes too early changes nothing.
    if (outcome !== false) dieAt(`after ${step}`);
    return outcome;
  }
  return {
    ...store,
    insertNext: (issuer, actor) => around("insert", () => store.insertNext(issuer, actor)),
    publish: (id, actor) => around("publish", () => store.publish(id, actor)),
    activate: (activation) => around("activate", () => store.activate(activation)),
    retire: (id, actor, anyway) => around("retire", () => store.retire(id, actor, anyway)),
  };
}

if (import.meta.main) {
  const { MAYFLY_CRASH_AT: asked = "none", MAYFLY_CLOCK_AHEAD_SECONDS: ahead = "0" } = process.env;
  const point = rotationCrashPoints.find((one) => one === asked);
  if (point === undefined) throw new Error(`no such step: ${asked}`);
  const configuration = loadConfiguration(undefined, process.env);
  const dieAt = (here: RotationCrashPoint): void => {
    if (here === point) process.kill(process.pid, "SIGKILL");
  };
  const authority = await compose(configuration, {
    rotation: (real) => dying(real, dieAt),
    now: () => new Date(Date.now() + Number(ahead) * 1000),
  });
  process.once("SIGTERM", () => void authority.close());
  await authority.server.listen({ host: configuration.listenHost, port: configuration.listenPort });
  console.log("Ctrl-C stops it."); // The banner's last line: whoever started a server waits for it.
}
