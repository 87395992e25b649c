/** Rotation: the plan, what it says is due, and what an operator asks for, each in a file of its own. */
import { createCommands, NotMoved, type RotationCommands } from "./commands.ts";
import { makeDueMoves } from "./dueMoves.ts";
import type { RotationParts } from "./ground.ts";
import { createPlanning, type Planning } from "./planning.ts";

export interface Rotation extends RotationCommands, Pick<Planning, "state" | "latest"> {
  /** Does what is due in lines that move by themselves, and makes the first issuer of a line that has none. */
  run(): Promise<void>;
}

/** Nothing is done before it is asked for. */
export function createRotation(parts: RotationParts): Rotation {
  const planning = createPlanning(parts);
  return { run: () => makeDueMoves(parts, planning), ...planning, ...createCommands(parts) };
}

export { NotMoved };
