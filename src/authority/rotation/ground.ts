/** What planning, the moves that are due and those by command stand on, and the one way in which a line gets its next issuer. */
import type { Issuers } from "../issuer.ts";
import type { IssuerLine, IssuerLines } from "../issuerLine.ts";
import type { StoredIssuer } from "../ports.ts";
import type { RotationStore } from "../rotationPorts.ts";
import { makeIssuer, type MakingGround } from "./makeIssuer.ts";
import type { Move } from "./plan.ts";

export interface RotationParts extends MakingGround {
  readonly store: RotationStore;
  readonly issuers: Pick<Issuers, "reread">;
  readonly lines: IssuerLines;
  /** How long after its last certificate an issuer goes on making lists of revoked ones. */
  readonly afterlifeSeconds: number;
  /** Told of every move that was made here. */
  readonly onMove?: (move: Move, issuer: { id: string; generation: number } | undefined) => void;
  readonly onFailure: (move: Move, error: unknown) => void;
}

/** The line of a move; undefined where the configuration has none of this name. */
export const lineOf = (lines: IssuerLines, { kind, name }: Pick<IssuerLine, "kind" | "name">): IssuerLine | undefined =>
  kind === "issuing" ? lines.issuing.get(name) : name === lines.root.name ? lines.root : undefined;

/**
 * Makes the next issuer of a line; called while no other process makes issuers.
 * @param stored all issuers there are
 * @returns its id; undefined where somebody else made that generation
 */
export async function insertNext(
  line: IssuerLine,
  stored: readonly StoredIssuer[],
  parts: RotationParts,
  actor: string,
): Promise<string | undefined> {
  const issuer = await makeIssuer(line, stored, parts);
  if (!(await parts.store.insertNext(issuer, actor))) return undefined;
  const { kind, name } = line;
  parts.onMove?.({ kind, name, act: "prepare", at: parts.now() }, issuer);
  return issuer.id;
}
