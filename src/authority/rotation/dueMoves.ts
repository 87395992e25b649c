/**
 * What the plan says is due is done, line by line. Each step may be cut off at any point: a key without an issuer is found again by its label, and
 * an issuer is a row that says how far it came. Several processes do this at the same time; the database lets one of them make a move.
 */
import type { StoredIssuer } from "../ports.ts";
import { insertNext, lineOf, type RotationParts } from "./ground.ts";
import type { Move } from "./plan.ts";
import type { Planning } from "./planning.ts";

const actor = "job:rotation";

/** Moves that follow each other at once, such as prepared and published, are made in one go. */
const roundsMax = 5;

/** Does what is due in lines that move by themselves, and makes the first issuer of a line that has none. */
export async function makeDueMoves(parts: RotationParts, planning: Planning): Promise<void> {
  for (let round = 0; round < roundsMax; round++) {
    const { stored, plan } = await planning.state();
    const due = plan.moves.filter((move) => move.at <= parts.now() && movesByItself(move, stored, parts));
    let moved = false;
    for (const move of due) {
      try {
        if (await make(move, parts, planning)) moved = true;
      } catch (error) {
        parts.onFailure(move, error); // One line's trouble is not another's.
      }
    }
    if (!moved) return;
    await parts.issuers.reread();
  }
}

/** The first of a line comes without a command. */
function movesByItself(move: Move, stored: readonly StoredIssuer[], { lines }: RotationParts): boolean {
  if (lineOf(lines, move)?.automatic === true) return true;
  const own = stored.filter(({ kind, name }) => kind === move.kind && name === move.name);
  return own.every(({ state }) => state === "prepared" || state === "published");
}

/** False where somebody else was faster. */
async function make(move: Move, parts: RotationParts, planning: Planning): Promise<boolean> {
  if (move.act === "prepare") return await prepareDue(move, parts, planning);
  const moved = await moveOne(move, parts);
  if (moved) parts.onMove?.(move, undefined);
  // What was recorded since it was asked for may end later than was known.
  else if (move.act === "retire") planning.forgetLastEnd(move.id);
  return moved;
}

async function moveOne(
  move: Exclude<Move, { act: "prepare" }>,
  { store, lines }: Pick<RotationParts, "store" | "lines">,
): Promise<boolean> {
  if (move.act === "publish") return await store.publish(move.id, actor);
  if (move.act === "retire") return await store.retire(move.id, actor, false);
  const { id, previous } = move;
  const publishedSeconds = previous === null ? 0 : (lineOf(lines, move)?.publishedSeconds ?? 0);
  return await store.activate({ id, previous, publishedSeconds, actor });
}

/** Decided again while no other process makes issuers: what one of them has just made is not made twice. */
async function prepareDue(move: Move, parts: RotationParts, planning: Planning): Promise<boolean> {
  const line = lineOf(parts.lines, move);
  if (line === undefined) return false;
  return await parts.store.exclusively(async () => {
    const { stored, plan } = await planning.state();
    const stillDue = plan.moves.some(
      ({ act, kind, name, at }) => act === "prepare" && kind === move.kind && name === move.name && at <= parts.now(),
    );
    return stillDue && (await insertNext(line, stored, parts, actor)) !== undefined;
  });
}
