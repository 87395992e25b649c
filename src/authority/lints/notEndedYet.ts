import type { DecisionLint } from "./lint.ts";

export const notEndedYet: DecisionLint = {
  name: "notEndedYet",
  about: "decision",
  source: "Mayfly",
  says: "A certificate has not ended when it is made.",
  holds: ({ notAfter }, { preparedAt }) => notAfter.date > preparedAt,
};
