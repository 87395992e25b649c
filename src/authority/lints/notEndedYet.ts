/** A certificate has not ended when it is made. */
import type { DecisionLint } from "./lint.ts";

export const notEndedYet: DecisionLint = {
  name: "notEndedYet",
  about: "decision",
  source: "Mayfly",
  holds: ({ notAfter }, { preparedAt }) => notAfter.date > preparedAt,
};
