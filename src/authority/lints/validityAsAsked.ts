/** notBefore and notAfter of the order are honoured to the second, or the order is refused. */
import type { DecisionLint } from "./lint.ts";

const isSecondOf = (written: Date, asked: Date | undefined): boolean =>
  asked === undefined || written.getTime() === Math.floor(asked.getTime() / 1000) * 1000;

export const validityAsAsked: DecisionLint = {
  name: "validityAsAsked",
  about: "decision",
  source: "RFC 8555 §7.4",
  holds: ({ notBefore, notAfter }, { authorized: { validity } }) =>
    isSecondOf(notBefore.date, validity.notBefore) && isSecondOf(notAfter.date, validity.notAfter),
};
