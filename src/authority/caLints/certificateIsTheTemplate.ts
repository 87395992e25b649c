/** Our own: what the operator was shown, and what the database will say, is what is signed. */
import type { CaLint } from "./caLint.ts";

export const certificateIsTheTemplate: CaLint = {
  name: "certificateIsTheTemplate",
  source: "our own: what was asked for is what is signed",
  holds: (certificate, { prepared: { template, serialNumber } }) =>
    certificate.serialNumber.equals(serialNumber) &&
    certificate.subject.equals(template.subject) &&
    certificate.spki.equals(template.spki) &&
    certificate.notBefore.getTime() === template.notBefore.getTime() &&
    certificate.notAfter.getTime() === template.notAfter.getTime(),
};
