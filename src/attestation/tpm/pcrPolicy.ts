/** What a source demands of the registers in a quote. Pure. */
import { timingSafeEqual } from "node:crypto";
import { invalid, mismatch } from "../evidence.ts";
import { pcrDigest, type PcrValue, type Quote } from "./attest.ts";
import type { TpmHash } from "./algorithms.ts";

/** Registers of a PC (TCG PC Client Platform TPM Profile §4.6). */
export const registersMax = 24;

/** Allowed values; whatever is not said is not looked at. */
export interface PcrPolicy {
  readonly bank: "sha256" | "sha384";
  /** By register: the hex values that it may have. Each of these registers must be in the quote. */
  readonly values: ReadonlyMap<number, readonly string[]>;
  /** Registers that the quote must select, these and no others; ascending. */
  readonly selection: readonly number[] | undefined;
  /** Hex digests that the quote may have. They say nothing of which registers they are of: only with a selection. */
  readonly digests: readonly string[] | undefined;
}

/**
 * Makes sure that the values are those the TPM signed a digest of, and that policy allows them.
 * @param hash - of the signature over the quote
 * @throws {EvidenceRefused} evidenceInvalid · measurementMismatch
 */
export function requirePcrs(quote: Quote, pcrs: readonly PcrValue[], hash: TpmHash, policy: PcrPolicy): void {
  const [selection, ...others] = quote.selections;
  if (selection?.bank !== policy.bank || others.length > 0) {
    throw mismatch(`The quote is not of the ${policy.bank} bank alone`);
  }
  if (selection.registers.some((register) => register >= registersMax)) {
    throw mismatch(`The quote selects a register above ${registersMax - 1}`);
  }
  const digest = pcrDigest(pcrs, hash);
  if (digest.length !== quote.digest.length || !timingSafeEqual(digest, quote.digest)) {
    throw invalid("The PCR values are not those that were quoted");
  }
  for (const [register, allowed] of policy.values) {
    const value = pcrs.find((pcr) => pcr.register === register)?.value.toString("hex");
    if (value === undefined) throw mismatch("The quote does not select a register that this source looks at");
    if (!allowed.includes(value)) throw mismatch("A register has a value that is not allowed");
  }
  if (policy.selection !== undefined && policy.selection.join() !== selection.registers.join()) {
    throw mismatch("The quote does not select the registers that this source looks at");
  }
  if (policy.digests !== undefined && !policy.digests.includes(quote.digest.toString("hex"))) {
    throw mismatch("The registers have a digest that is not allowed");
  }
}
