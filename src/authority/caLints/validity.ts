/**
 * RFC 5280 §4.1.2.5: "The certificate validity period is the time interval during which the CA warrants that it will maintain information
 * about the status of the certificate." A CA's has an end: never "the GeneralizedTime value of 99991231235959Z", and thirty years at most.
 */
import type { CaLint } from "./caLint.ts";

const yearsMax = 30;

export const validity: CaLint = {
  name: "validity",
  source: "RFC 5280 §4.1.2.5; our own: at most 30 years",
  holds: ({ notBefore, notAfter }) => {
    const days = (notAfter.getTime() - notBefore.getTime()) / 86_400_000;
    return days > 0 && days <= yearsMax * 366;
  },
};
