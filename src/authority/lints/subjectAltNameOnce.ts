/** No name is there twice. */
import type { CertificateLint } from "./lint.ts";

const isOnce = (names: readonly string[]): boolean => names.length < 2 || new Set(names).size === names.length;

export const subjectAltNameOnce: CertificateLint = {
  name: "subjectAltNameOnce",
  about: "certificate",
  source: "Mayfly",
  holds: ({ values: { subjectAltName: names } }) =>
    names === undefined || [names.dns, names.ip, names.uri, names.permanentIdentifiers].every(isOnce),
};
