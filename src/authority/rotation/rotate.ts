/**
 * Rotation: what the plan says is due is done, and what an operator asks for. Each step may be cut off at any point: a key without an issuer
 * is found again by its label, and an issuer is a row that says how far it came. Several processes do this at the same time; the database
 * lets one of them make a move.
 */
import { readCertificate } from "../../x509/certificate.ts";
import { awaitsCertificate } from "../certifyIssuer.ts";
import type { Issuers } from "../issuer.ts";
import type { IssuerLine, IssuerLines } from "../issuerLine.ts";
import type { StoredIssuer } from "../ports.ts";
import type { RotationStore } from "../rotationPorts.ts";
import { makeIssuer, type MakingGround } from "./makeIssuer.ts";
import { planOf, type Alarm, type Move, type Plan, type PlannedIssuer } from "./plan.ts";

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

/** An operator's wish that cannot be done; the message is for him. */
export class NotMoved extends Error {
  override readonly name = "NotMoved";
}

export interface RotationState {
  readonly stored: readonly StoredIssuer[];
  readonly plan: Plan;
}

export interface Rotation {
  /** Does what is due in lines that move by themselves, and makes the first issuer of a line that has none. */
  run(): Promise<void>;
  /** What there is, and what is planned. */
  state(): Promise<RotationState>;
  /** The plan as it was when last looked at. */
  latest(): Plan;
  /**
   * The next issuer of a line, unless there is one.
   * @returns its id
   * @throws {NotMoved} · {KeyUnavailable}
   */
  prepare(kind: IssuerLine["kind"], name: string, actor: string): Promise<string>;
  /** @throws {NotMoved} */
  publish(id: string, actor: string): Promise<void>;
  /** @param now true however short it has been published @throws {NotMoved} */
  activate(id: string, actor: string, now: boolean): Promise<void>;
  /**
   * Ends an issuer: one that never issued, or one that is retiring and of which nothing counts any more.
   * @param anyway true whatever counts: a retiring one is retired, an active one retires without another in its place
   * @throws {NotMoved}
   */
  retire(id: string, actor: string, anyway: boolean): Promise<void>;
}

const jobActor = "job:rotation";

/** Nothing is done before it is asked for. */
export function createRotation(parts: RotationParts): Rotation {
  const { store, lines } = parts;
  /** Ends of last certificates: a retiring issuer gets no later ones. */
  const lastEnds = new Map<string, Date | null>();
  let plan: Plan = { moves: [], alarms: [] };

  async function state(): Promise<RotationState> {
    const stored = await store.readIssuers();
    await learnLastEnds(stored);
    const { afterlifeSeconds } = parts;
    plan = planOf({ issuers: stored.map(plannedOf), lines, lastEnds, afterlifeSeconds, now: parts.now() });
    return { stored, plan };
  }

  /** Asked once for each, when nothing can be under way by it any more. */
  async function learnLastEnds(stored: readonly StoredIssuer[]): Promise<void> {
    for (const { id, kind, state: at, retiringAt } of stored) {
      if (kind !== "issuing" || at !== "retiring" || lastEnds.has(id)) continue;
      if (retiringAt === null || parts.now().getTime() - retiringAt.getTime() < settledMs) continue;
      lastEnds.set(id, await store.lastEnd(id));
    }
  }

  const isDue = ({ at }: Move): boolean => at <= parts.now();
  const lineOf = ({ kind, name }: Pick<Move, "kind" | "name">): IssuerLine | undefined =>
    kind === "issuing" ? lines.issuing.get(name) : name === lines.root.name ? lines.root : undefined;

  /** The first of a line comes without a command. */
  const movesByItself = (move: Move, stored: readonly StoredIssuer[]): boolean =>
    lineOf(move)?.automatic === true ||
    !stored.some(
      ({ kind, name, state: at }) =>
        kind === move.kind && name === move.name && at !== "prepared" && at !== "published",
    );

  async function run(): Promise<void> {
    for (let round = 0; round < roundsMax; round++) {
      const { stored, plan: planned } = await state();
      const due = planned.moves.filter((move) => isDue(move) && movesByItself(move, stored));
      let moved = false;
      for (const move of due) {
        try {
          if (!(await make(move))) continue;
          moved = true;
        } catch (error) {
          parts.onFailure(move, error); // One line's trouble is not another's.
        }
      }
      if (!moved) return;
      await parts.issuers.reread();
    }
  }

  /** False where somebody else was faster. */
  async function make(move: Move): Promise<boolean> {
    if (move.act === "prepare") return (await prepareDue(move)) !== undefined;
    const moved = await moveOne(move);
    if (moved) parts.onMove?.(move, undefined);
    // What was recorded since it was asked for may end later than was known.
    else if (move.act === "retire") lastEnds.delete(move.id);
    return moved;
  }

  async function moveOne(move: Exclude<Move, { act: "prepare" }>): Promise<boolean> {
    if (move.act === "publish") return await store.publish(move.id, jobActor);
    if (move.act === "retire") return await store.retire(move.id, jobActor, false);
    const { id, previous } = move;
    const publishedSeconds = previous === null ? 0 : (lineOf(move)?.publishedSeconds ?? 0);
    return await store.activate({ id, previous, publishedSeconds, actor: jobActor });
  }

  /** Decided again while no other process makes issuers: what one of them has just made is not made twice. */
  async function prepareDue(move: Move): Promise<string | undefined> {
    const line = lineOf(move);
    if (line === undefined) return undefined;
    return await store.exclusively(async () => {
      const { stored, plan: now } = await state();
      const stillDue = now.moves.some(
        ({ act, kind, name, at }) => act === "prepare" && kind === move.kind && name === move.name && at <= parts.now(),
      );
      return stillDue ? await insertNext(line, stored, jobActor, move) : undefined;
    });
  }

  async function insertNext(
    line: IssuerLine,
    stored: readonly StoredIssuer[],
    actor: string,
    move: Move,
  ): Promise<string | undefined> {
    const issuer = await makeIssuer(line, stored, parts);
    if (!(await store.insertNext(issuer, actor))) return undefined;
    parts.onMove?.(move, issuer);
    return issuer.id;
  }

  async function prepare(kind: IssuerLine["kind"], name: string, actor: string): Promise<string> {
    const line = lineOf({ kind, name });
    if (line === undefined)
      throw new NotMoved(
        `there is no line of ${kind === "root" ? "roots" : "issuers"} ${name}${kind === "root" ? "" : " in the configuration"}`,
      );
    return await store.exclusively(async () => {
      const stored = await store.readIssuers();
      const next = stored.find(
        (one) => one.kind === kind && one.name === name && (one.state === "prepared" || one.state === "published"),
      );
      if (next !== undefined) throw new NotMoved(`issuer ${next.id} is the next one already: it is ${next.state}`);
      const id = await insertNext(line, stored, actor, { kind, name, act: "prepare", at: parts.now() });
      if (id === undefined) throw new NotMoved("somebody else has just made the next one");
      return id;
    });
  }

  async function found(id: string): Promise<StoredIssuer> {
    const issuer = (await store.readIssuers()).find((one) => one.id === id);
    if (issuer === undefined) throw new NotMoved("there is no such issuer");
    return issuer;
  }

  const orRefused = async (moved: boolean, id: string, expected: string): Promise<void> => {
    if (moved) return await parts.issuers.reread();
    throw new NotMoved(`the issuer is ${(await found(id)).state}: ${expected}`);
  };

  /** Why an issuer is not retired. Revoked certificates are on its lists until they end. */
  async function whatCounts(id: string): Promise<string> {
    if ((await found(id)).state !== "retiring") return "one that is retiring is retired";
    const last = await store.lastEnd(id);
    const why =
      last === null
        ? "something that it signed counts"
        : `certificates of it, revoked ones among them, end at ${last.toISOString()}`;
    return `${why}; it is retired after that, or at once where that is forced`;
  }

  return {
    run,
    state,
    latest: () => plan,
    prepare,
    async publish(id, actor) {
      if (awaitsCertificate(await found(id))) throw new NotMoved("the issuer waits for its certificate");
      await orRefused(await store.publish(id, actor), id, "one that is prepared can be published");
    },
    async activate(id, actor, now) {
      const stored = await store.readIssuers();
      const next = stored.find((one) => one.id === id);
      if (next === undefined) throw new NotMoved("there is no such issuer");
      if (awaitsCertificate(next)) throw new NotMoved("the issuer waits for its certificate");
      if (next.certificate !== null) requireValid(next.certificate, parts.now());
      const active = stored.find(
        ({ kind, name, state: at }) => kind === next.kind && name === next.name && at === "active",
      );
      const { publishedSeconds = 0 } =
        lineOf({ kind: next.kind === "root" ? "root" : "issuing", name: next.name }) ?? {};
      const activation = { id, previous: active?.id ?? null, publishedSeconds: now ? null : publishedSeconds, actor };
      const moved = await store.activate(activation);
      await orRefused(
        moved,
        id,
        `one that has been published for ${publishedSeconds} s can be activated, or any that comes next where that is forced`,
      );
    },
    async retire(id, actor, anyway) {
      const { state: at } = await found(id);
      if (at === "prepared" || at === "published")
        return await orRefused(await store.discard(id, actor), id, "try again");
      if (at === "active" && anyway) return await orRefused(await store.stop(id, actor), id, "try again");
      if (await store.retire(id, actor, anyway)) return await parts.issuers.reread();
      await orRefused(false, id, await whatCounts(id));
    },
  };
}

/** What signs while it is not valid signs nothing that anybody takes, and issuing by it is refused. @throws {NotMoved} */
function requireValid(certificate: Buffer, now: Date): void {
  const { notBefore, notAfter } = readCertificate(certificate, { lenient: true });
  if (notBefore <= now && now < notAfter) return;
  throw new NotMoved(`the issuer is valid from ${notBefore.toISOString()} until ${notAfter.toISOString()}`);
}

/** Moves that follow each other at once, such as prepared and published, are made in one go. */
const roundsMax = 5;

/** After this nothing is under way any more by an issuer that is retiring; the intent's own statement refuses it after ten seconds. */
const settledMs = 30_000;

/** What is planned with of an issuer. */
export function plannedOf(stored: StoredIssuer): PlannedIssuer {
  const { certificate, keyLabel } = stored;
  return {
    ...stored,
    validity: certificate === null ? null : readCertificate(certificate, { lenient: true }),
    keyIsHere: keyLabel !== null,
  };
}

export type { Alarm, Move, Plan };
