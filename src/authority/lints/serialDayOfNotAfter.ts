/**
 * The first two octets of a serial number are the day of notAfter since 1970, by which certificates lie beside each other in the index.
 */
import { dayOf, serialDayOctets } from "../serialNumber.ts";
import type { CertificateLint } from "./lint.ts";

export const serialDayOfNotAfter: CertificateLint = {
  name: "serialDayOfNotAfter",
  about: "certificate",
  source: "Mayfly",
  holds: ({ serialNumber, notAfter }) =>
    serialNumber.length > serialDayOctets && serialNumber.readUInt16BE(0) === dayOf(notAfter.date),
};
