/** What the inventory will say is what is signed: serial number, notBefore and notAfter. */
import type { DecisionLint } from "./lint.ts";

export const recordIsTheCertificate: DecisionLint = {
  name: "recordIsTheCertificate",
  about: "decision",
  source: "Mayfly",
  holds: ({ serialNumber, notBefore, notAfter }, prepared) =>
    serialNumber.equals(prepared.serialNumber) &&
    notBefore.date.getTime() === prepared.notBefore.getTime() &&
    notAfter.date.getTime() === prepared.notAfter.getTime(),
};
