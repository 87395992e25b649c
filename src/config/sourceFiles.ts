/** Whether the sources can be opened with the files that are here; nothing is fetched. */
import { openDelegationSource } from "../attestation/delegation.ts";
import type { SourceSurroundings } from "../attestation/format.ts";
import { openSource } from "../attestation/sources.ts";
import type { Configuration } from "./load.ts";

/** One line for each source that stops the start, with the file. */
export function sourceFaults({ attestation, delegation, trustDomain }: Configuration): string[] {
  const unused = (): Promise<never> => Promise.reject(new Error("opening a source fetches nothing"));
  const surroundings: SourceSurroundings = {
    fetchBody: unused,
    postJson: unused,
    now: () => new Date(),
    trustDomain,
    ownAuthorities: () => [],
  };
  return [
    ...attestation.sources.map((settings) => faultOf(() => openSource(settings, surroundings))),
    ...delegation.sources.map((settings) => faultOf(() => openDelegationSource(settings, surroundings))),
  ].filter((fault) => fault !== undefined);
}

function faultOf(open: () => unknown): string | undefined {
  try {
    open();
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}
