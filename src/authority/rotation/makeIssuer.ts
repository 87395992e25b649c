/**
 * The next CA of a line: its key, and its certificate, or the request for one where the key that must sign it is elsewhere. Nothing is
 * written but into the token; a run that was cut off is found there by the label.
 */
import { createHash, randomUUID } from "node:crypto";

import type { KeyProvider, Signer } from "../../keys/signer.ts";
import { readCertificate } from "../../x509/certificate.ts";
import { encodeName } from "../../x509/name.ts";
import type { CaIssuer } from "../caCertificate.ts";
import { lintCaRequest, prepareCaRequest, requestOf } from "../caRequest.ts";
import { findOrGenerate, signCa } from "../makeCa.ts";
import { defaultIssuerName } from "../issuer.ts";
import type { IssuerLine } from "../issuerLine.ts";
import { issuingKey } from "../issuingKey.ts";
import { rootListUrl, rootShards } from "../listUrl.ts";
import type { NewIssuer, StoredIssuer } from "../ports.ts";

export interface MakingGround {
  readonly keys: KeyProvider;
  readonly trustDomain: string;
  /** Label of the first issuing key in the token; those of all others begin with it. */
  readonly keyLabel: string;
  /** In how many lists the revoked certificates of an issuing CA are told. */
  readonly crlShards: number;
  /** URLs of revocation lists start with it; without a slash at the end. */
  readonly publicUrl: string;
  readonly now: () => Date;
}

/** What signs a CA's certificate: a root, or the CA itself. */
interface Above {
  readonly id: string;
  readonly key: Signer;
  readonly issuer: CaIssuer;
  readonly notAfter: Date;
}

/** notBefore lies this far in the past, for relying parties whose clocks are behind. */
const backdateMs = 60_000;

/**
 * Makes the next CA of `line`, in the state `prepared`.
 * @param stored all issuers there are
 * @throws {KeyUnavailable} · {LintFailed} · {Error} where a key has the label and is of another kind
 */
export async function makeIssuer(
  line: IssuerLine,
  stored: readonly StoredIssuer[],
  ground: MakingGround,
): Promise<NewIssuer> {
  const siblings = stored.filter(({ kind, name }) => kind === line.kind && name === line.name);
  const generation = Math.max(0, ...siblings.map((one) => one.generation)) + 1;
  const key = await findOrGenerate(ground.keys, keyLabelOf(line, generation, ground.keyLabel), line.keyKind);
  const subject = subjectOf(line, generation, ground.trustDomain);
  const { spki, algorithm } = key;
  const shared = { subject, spki, trustDomain: ground.trustDomain };
  const made = newIssuer(line, generation, key, line.kind === "root" ? rootShards : ground.crlShards);
  if (line.kind === "root") {
    const validity = validityOf(line, ground.now(), undefined);
    const issuer: CaIssuer = { subject, spki, algorithm, certificate: undefined };
    const certificate = await signCa(key, { ...shared, ...validity, issuer, pathLength: 1 });
    return { ...made, certificate, notAfter: validity.notAfter };
  }
  const constraints = line.nameConstraints === undefined ? {} : { nameConstraints: line.nameConstraints };
  const above = await activeRoot(stored, ground);
  if (above === undefined) {
    const request = lintCaRequest(prepareCaRequest({ ...shared, ...constraints, algorithm, pathLength: 0 }));
    return { ...made, request: requestOf(request, await issuingKey(key).sign(request)) };
  }
  const validity = validityOf(line, ground.now(), above.notAfter);
  const template = { ...shared, ...constraints, ...validity, issuer: above.issuer, pathLength: 0 };
  return { ...made, parentId: above.id, certificate: await signCa(above.key, template), notAfter: validity.notAfter };
}

/** The root that signs now; undefined where its key is not here. */
async function activeRoot(
  stored: readonly StoredIssuer[],
  { keys, publicUrl }: MakingGround,
): Promise<Above | undefined> {
  const root = stored.find(({ kind, state }) => kind === "root" && state === "active");
  if (root?.certificate == null) return undefined;
  const { spki, subject, notAfter } = readCertificate(root.certificate);
  const key = await keys.find({
    spki,
    ...(root.signatureAlgorithm !== null && { algorithm: root.signatureAlgorithm }),
  });
  if (key === undefined) return undefined;
  const crlUrl = root.keyLabel === null ? undefined : rootListUrl(publicUrl, root.id);
  return {
    id: root.id,
    key,
    issuer: { subject, spki, algorithm: key.algorithm, certificate: root.certificate, crlUrl },
    notAfter,
  };
}

/** Whole seconds, notAfter inclusive (RFC 5280 §4.1.2.5), and never beyond the end of the CA above (§6.1.3). */
function validityOf({ lifetimeSeconds }: IssuerLine, now: Date, most: Date | undefined) {
  const notBefore = new Date(Math.floor(now.getTime() / 1000) * 1000 - backdateMs);
  const end = notBefore.getTime() + backdateMs + lifetimeSeconds * 1000 - 1000;
  return { notBefore, notAfter: new Date(Math.min(end, most?.getTime() ?? Infinity)) };
}

/** The first of the default line, and the first root, have the labels of before there were lines. */
export function keyLabelOf(
  { kind, name }: Pick<IssuerLine, "kind" | "name">,
  generation: number,
  label: string,
): string {
  if (kind === "root") return generation === 1 ? `${label}-root` : `${label}-root-${generation}`;
  return name === defaultIssuerName && generation === 1 ? label : `${label}-${name}-${generation}`;
}

/** No two CAs have one name: verifiers find an issuer by it. */
function subjectOf({ kind, name }: IssuerLine, generation: number, trustDomain: string): Buffer {
  const line = name === defaultIssuerName ? "" : `${name} `;
  const number = kind === "root" && generation === 1 ? "" : `${generation} `;
  const commonName = `Mayfly ${kind === "root" ? "Root" : "Issuing"} CA ${line}${number}${trustDomain}`;
  return encodeName({ organization: "Mayfly", commonName: commonName.slice(0, commonNameMax) });
}

/** X.520's ub-common-name. */
const commonNameMax = 64;

const newIssuer = ({ kind, name }: IssuerLine, generation: number, key: Signer, crlShards: number): NewIssuer => ({
  id: randomUUID(),
  kind,
  name,
  generation,
  state: "prepared",
  certificate: null,
  request: null,
  keyLabel: key.label,
  signatureAlgorithm: key.algorithm,
  parentId: null,
  crlShards,
  notAfter: null,
  spkiSha256: createHash("sha256").update(key.spki).digest(),
});
