/**
 * Real attestation evidence that others published. It is not part of this project: where the folder is absent, its tests skip, visibly.
 */
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";

const candidates = [
  process.env["MAYFLY_TEST_EVIDENCE"] ?? "",
  path.join(import.meta.dirname, "..", "..", "..", "shared", "evidence"),
].filter((folder) => folder !== "");

const folder = candidates.find((candidate) => existsSync(path.join(candidate, "manifest.json")));

/** What `t.test` takes: `{ skip: "…" }` where the samples are absent. */
export const withEvidence: { readonly skip: false | string } = {
  skip: folder === undefined && "the real samples are absent: ../shared/evidence is no folder with a manifest.json",
};

/** The octets of a sample. @throws where the samples are absent */
export function evidenceFile(...below: string[]): Buffer {
  if (folder === undefined) throw new Error("the real samples are absent");
  return readFileSync(path.join(folder, ...below));
}

/** One sample of the manifest; which members it has depends on the format. */
export interface EvidenceSample {
  readonly id: string;
  readonly format: string;
  readonly provenance: string;
  /** Paths below the folder, by what they are. */
  readonly files: Readonly<Record<string, string>>;
  readonly verifyAt?: string;
  readonly validFrom?: string;
  readonly validUntil?: string;
  readonly result: "accept" | "reject" | "anchor";
  readonly reason?: string;
  readonly requires?: unknown;
  readonly expect?: Readonly<Record<string, unknown>>;
}

/** The samples of the manifest; none where they are absent. */
export function evidenceSamples(): readonly EvidenceSample[] {
  if (folder === undefined) return [];
  const manifest = JSON.parse(evidenceFile("manifest.json").toString("utf8")) as { samples: EvidenceSample[] };
  return manifest.samples;
}
