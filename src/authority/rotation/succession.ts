/** Which issuer of a line comes after which: the same for whoever moves one. Pure. */
import { readCertificate } from "../../x509/certificate.ts";
import type { StoredIssuer } from "../ports.ts";

type Line = Pick<StoredIssuer, "kind" | "name">;

const ofLine = (line: Line, stored: readonly StoredIssuer[]): StoredIssuer[] =>
  stored.filter(({ kind, name }) => kind === line.kind && name === line.name);

/** What issues for a line; of each there is one at most. */
export const activeOf = (line: Line, stored: readonly StoredIssuer[]): StoredIssuer | undefined =>
  ofLine(line, stored).find(({ state }) => state === "active");

/** What follows in its line, as the plan has it: what is older than the active one was passed over. */
export function nextOf(line: Line, stored: readonly StoredIssuer[]): StoredIssuer | undefined {
  const { generation: from = 0 } = activeOf(line, stored) ?? {};
  return ofLine(line, stored)
    .filter(({ state, generation }) => (state === "prepared" || state === "published") && generation > from)
    .sort((a, b) => b.generation - a.generation)[0];
}

/** Whether the validity of this certificate has `now` in it (RFC 5280 §4.1.2.5). */
export function isValid(certificate: Buffer, now: Date): boolean {
  const { notBefore, notAfter } = readCertificate(certificate, { lenient: true });
  return notBefore <= now && now < notAfter;
}
