/** The random part of a serial number is not one octet over and over, as it would be from a source that gives nothing. */
import { serialDayOctets } from "../serialNumber.ts";
import type { CertificateLint } from "./lint.ts";

export const serialNotConstant: CertificateLint = {
  name: "serialNotConstant",
  about: "certificate",
  source: "Mayfly",
  holds: ({ serialNumber }) =>
    serialNumber.some((octet, at) => at > serialDayOctets && octet !== serialNumber[serialDayOctets]),
};
