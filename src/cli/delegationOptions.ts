/** Whose delegation a command is about: a task, or whoever delegated. */
import { UsageError } from "./command.ts";

/** The options that say it. */
export const delegationOptions = {
  source: { type: "string", value: "REF", required: true, description: "ref of the delegation source that named it" },
  task: { type: "string", value: "NAME", description: "the task, as the source names it" },
  delegator: { type: "string", value: "NAME", description: "who delegated, as the source names them" },
} as const;

/** @throws {UsageError} unless it is exactly one */
export function delegationAsked(values: { source: string; task?: string; delegator?: string }): object {
  const { source, task, delegator } = values;
  if ((task === undefined) === (delegator === undefined))
    throw new UsageError("expected one of --task and --delegator");
  return task === undefined ? { source, delegator } : { source, task };
}
