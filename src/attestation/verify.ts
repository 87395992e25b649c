/**
 * Evidence → verified evidence. The source is found by its exact `ref` before anything else, and only its keys, algorithms and
 * audience count.
 */
import { createHash } from "node:crypto";
import { EvidenceRefused } from "./evidence.ts";
import type { JsonObject } from "../encoding/json.ts";
import type { ActivationOffer, EvidenceItem, VerificationContext, VerifiedEvidence } from "./evidence.ts";
import { namedIssuer } from "./formats/atc.ts";
import type { Source } from "./sources.ts";

export interface Verifier {
  /**
   * @throws {EvidenceRefused} the evidence is bad
   * @throws {SourceUnavailable} it cannot be judged now
   */
  verify(item: EvidenceItem, context: VerificationContext): Promise<VerifiedEvidence>;
  /**
   * A credential for the TPM that a client names.
   * @throws {EvidenceRefused} also when the source gives out none
   */
  activate(ref: string, request: JsonObject, now: Date): ActivationOffer;
  /** The authority that a token names, among these sources. Nothing of the token is verified yet. */
  authorityOf(token: string, refs: readonly string[]): Source | undefined;
  /** Formats of the configured sources of workloads, for the directory's `meta.workloadAttestation.formats`. */
  formats(): string[];
  /** The configured sources by `ref`. */
  readonly sources: ReadonlyMap<string, Source>;
}

/**
 * A verifier of evidence from these sources, and no others.
 * @throws {Error} when two sources have one `ref`
 */
export function createVerifier(sources: readonly Source[]): Verifier {
  const byRef = new Map(sources.map((source) => [source.ref, source]));
  if (byRef.size !== sources.length) throw new Error("two attestation sources have the same ref");
  return {
    async verify(item, context) {
      const source = byRef.get(item.ref);
      if (source === undefined) {
        throw new EvidenceRefused("sourceNotConfigured", "No evidence source has this ref");
      }
      if (item.format !== source.format) {
        throw new EvidenceRefused("formatNotAccepted", "The source does not take evidence of this format");
      }
      const evidence = await source.verify(item, context);
      return evidence.instance === undefined ? evidence : { ...evidence, instance: instanceName(evidence.instance) };
    },
    activate(ref, request, now) {
      const source = byRef.get(ref);
      if (source === undefined) {
        throw new EvidenceRefused("sourceNotConfigured", "No evidence source has this ref");
      }
      if (source.activate === undefined) {
        throw new EvidenceRefused("formatNotAccepted", "The source gives out no credentials");
      }
      return source.activate(request, now);
    },
    authorityOf(token, refs) {
      const issuer = namedIssuer(token);
      return sources.find((source) => refs.includes(source.ref) && source.format === "atc" && source.issuer === issuer);
    },
    formats: () => [...new Set(sources.filter(({ ofDevices }) => !ofDevices).map(({ format }) => format))],
    sources: byRef,
  };
}

/** Of an instance's name, what a platform let somebody choose: longer, of other characters, or made to look like a hash, it is told by its hash. */
const plainInstance = /^(?!sha256:)[\x21-\x7e]{1,256}$/;

function instanceName(instance: string): string {
  if (plainInstance.test(instance)) return instance;
  return `sha256:${createHash("sha256").update(JSON.stringify(instance)).digest("hex")}`;
}
