/** What a lint of CA certificates is, and what most of them need. */
import type { Certificate } from "../../x509/certificate.ts";
import type { Extension } from "../../x509/extensions.ts";
import type { PreparedCaCertificate } from "../caCertificate.ts";

/** What the certificate is held against. */
export interface CaLintGround {
  readonly prepared: PreparedCaCertificate;
  /** The certificate of who signs; none for one that signs itself. */
  readonly issuer: Certificate | undefined;
}

export interface CaLint {
  readonly name: string;
  /** The paragraph, which the file quotes. */
  readonly source: string;
  /** True when the rule is met. */
  readonly holds: (certificate: Certificate, ground: CaLintGround) => boolean;
}

/** The extension of this identifier, if it is there. */
export const extensionIn = ({ extensions }: Pick<Certificate, "extensions">, oid: string): Extension | undefined =>
  extensions.find((extension) => extension.oid === oid);
