/** notBefore lies at most an hour ahead. */
import { notBeforeAheadMaxSeconds } from "../profile.ts";
import type { DecisionLint } from "./lint.ts";

export const notBeforeNotAhead: DecisionLint = {
  name: "notBeforeNotAhead",
  about: "decision",
  source: "Mayfly",
  holds: ({ notBefore }, { preparedAt }) =>
    notBefore.date.getTime() <= preparedAt.getTime() + 1000 * notBeforeAheadMaxSeconds,
};
