/**
 * When which issuer moves, decided from what there is. Pure: whoever acts on it (rotate.ts) has the database decide once more.
 *
 * At every moment the active issuer of a line can give the longest lifetime of its profiles, and what follows it has been published for long
 * enough by then. Where there is time, the next one is there much earlier: when half of the life of the active one is over, or 30 days
 * before its end, and it takes over in the last sixth, or 7 days before.
 */
import { marginSeconds, type IssuerLine, type IssuerLines } from "../issuerLine.ts";
import type { IssuerState } from "../issuer.ts";

/** What is planned with of an issuer. */
export interface PlannedIssuer {
  readonly id: string;
  readonly kind: "root" | "intermediate" | "issuing";
  readonly name: string;
  readonly generation: number;
  readonly state: IssuerState;
  readonly parentId: string | null;
  /** Null while it waits for its certificate. */
  readonly validity: { readonly notBefore: Date; readonly notAfter: Date } | null;
  readonly createdAt: Date;
  readonly publishedAt: Date | null;
  readonly retiringAt: Date | null;
  /** True where its key is among ours. */
  readonly keyIsHere: boolean;
}

interface MoveOfLine {
  readonly kind: "root" | "issuing";
  readonly name: string;
  readonly at: Date;
}

export type Move =
  | (MoveOfLine & { readonly act: "prepare" })
  | (MoveOfLine & { readonly act: "publish"; readonly id: string })
  | (MoveOfLine & { readonly act: "activate"; readonly id: string; readonly previous: string | null })
  | (MoveOfLine & { readonly act: "retire"; readonly id: string });

/** Something that an operator must do. */
export interface Alarm {
  readonly kind: "root" | "issuing";
  readonly name: string;
  /** The issuer that it is about; null for the line. */
  readonly id: string | null;
  /** By when. */
  readonly until: Date | null;
  /** A sentence. */
  readonly what: string;
}

export interface Plan {
  /** The next of each issuer and of each line, the earliest first. */
  readonly moves: readonly Move[];
  readonly alarms: readonly Alarm[];
}

export interface PlanFacts {
  readonly issuers: readonly PlannedIssuer[];
  readonly lines: IssuerLines;
  /** The end of the last certificate of a retiring issuing CA, null where it has none in force; by id. */
  readonly lastEnds: ReadonlyMap<string, Date | null>;
  /** How long after its last certificate an issuer goes on making lists of revoked ones. */
  readonly afterlifeSeconds: number;
  readonly now: Date;
}

const daySeconds = 86_400;
const later = (at: Date, seconds: number): Date => new Date(at.getTime() + seconds * 1000);
const latest = (...times: readonly Date[]): Date => new Date(Math.max(...times.map((time) => time.getTime())));

/** Seconds before its end from which an issuer of this life is not the active one any more where another can be. */
export function activateBefore(line: IssuerLine, lifeSeconds: number): number {
  return Math.max(line.longestSeconds + marginSeconds, Math.min(lifeSeconds / 6, 7 * daySeconds));
}

/** Seconds before its end at which the one that follows is made. */
export function prepareBefore(line: IssuerLine, lifeSeconds: number): number {
  const least = activateBefore(line, lifeSeconds) + line.publishedSeconds + marginSeconds;
  return Math.max(least, Math.min(lifeSeconds / 2, 30 * daySeconds));
}

/** What is to be done, and when. */
export function planOf(facts: PlanFacts): Plan {
  const plans = [facts.lines.root, ...facts.lines.issuing.values()].map((line) => planOfLine(line, facts));
  const moves = plans.flatMap((plan) => plan.moves);
  return {
    moves: moves.sort((a, b) => a.at.getTime() - b.at.getTime()),
    alarms: plans.flatMap((plan) => plan.alarms),
  };
}

/** Up to the root that it chains to, itself where it is one; undefined where it waits for its certificate. */
function rootOf(issuer: PlannedIssuer, issuers: readonly PlannedIssuer[]): PlannedIssuer | undefined {
  let at: PlannedIssuer | undefined = issuer;
  while (at !== undefined && at.kind !== "root") {
    const { parentId }: PlannedIssuer = at;
    at = issuers.find(({ id }) => id === parentId);
  }
  return at;
}

const lifeOf = ({ notBefore, notAfter }: { notBefore: Date; notAfter: Date }): number =>
  (notAfter.getTime() - notBefore.getTime()) / 1000;

function planOfLine(line: IssuerLine, facts: PlanFacts): Plan {
  const { kind, name } = line;
  const own = facts.issuers.filter((one) => one.kind === kind && one.name === name);
  const active = own.find(({ state }) => state === "active");
  const newest = (states: readonly IssuerState[]): PlannedIssuer | undefined =>
    own
      .filter(({ state, generation }) => states.includes(state) && generation > (active?.generation ?? 0))
      .sort((a, b) => b.generation - a.generation)[0];
  const next = newest(["prepared", "published"]);
  const moves: Move[] = own
    .filter(({ state }) => state === "retiring")
    .map((one) => ({ kind, name, act: "retire", id: one.id, at: retireAt(one, facts) }));
  if (next !== undefined) moves.push(...movesOfNext(next, active, line, facts));
  else {
    const at = prepareAt(active, line, facts);
    // A root whose key is elsewhere is followed by whatever its owner makes; an alarm tells when.
    const possible = kind === "issuing" || active?.keyIsHere === true;
    if (at !== undefined && possible) moves.push({ kind, name, act: "prepare", at });
  }
  return { moves, alarms: alarmsOf(line, active, next, moves, facts) };
}

/** Of an issuer that is prepared or published: the step that comes next. */
function movesOfNext(
  next: PlannedIssuer,
  active: PlannedIssuer | undefined,
  line: IssuerLine,
  facts: PlanFacts,
): Move[] {
  if (next.validity === null) return []; // It waits for its certificate.
  const common = { kind: line.kind, name: line.name, id: next.id };
  if (next.state === "prepared") return [{ ...common, act: "publish", at: next.createdAt }];
  const previous = active?.id ?? null;
  // One that another clock made, or that came in from elsewhere, may not be valid yet.
  const begins = [next, rootOf(next, facts.issuers)].flatMap((one) => one?.validity?.notBefore ?? []);
  const at = latest(activateAt(next, active, line, facts), ...begins);
  return [{ ...common, act: "activate", previous, at }];
}

/** Undefined where nothing can follow that would last longer. */
function prepareAt(active: PlannedIssuer | undefined, line: IssuerLine, facts: PlanFacts): Date | undefined {
  const { issuers, now } = facts;
  if (active === undefined || active.validity === null) return now;
  const { notAfter } = active.validity;
  const before = prepareBefore(line, lifeOf(active.validity));
  const usual = later(notAfter, -before);
  if (line.kind === "root") return usual;
  const root = issuers.find(({ kind, state }) => kind === "root" && state === "active");
  const own = rootOf(active, issuers);
  if (root !== undefined && own !== undefined && root.generation > own.generation) return now; // Below the new root.
  // One that its root cuts short, as the active one is, would be followed by another such at once.
  const full = later(latest(usual, now), line.lifetimeSeconds);
  const rootEnd = root?.keyIsHere === true ? root.validity?.notAfter : undefined;
  if (rootEnd === undefined || rootEnd >= full) return usual;
  return rootEnd >= later(notAfter, activateBefore(line, lifeOf(active.validity))) ? usual : undefined;
}

function activateAt(
  next: PlannedIssuer,
  active: PlannedIssuer | undefined,
  line: IssuerLine,
  { issuers, lines, now }: PlanFacts,
): Date {
  const published = later(next.publishedAt ?? now, line.publishedSeconds);
  const root = rootOf(next, issuers);
  // Where its root is not the active one yet, relying parties must have had the time to fetch that.
  const known =
    line.kind === "root" || root === undefined || root.state === "active"
      ? published
      : latest(published, later(root.publishedAt ?? now, lines.root.publishedSeconds));
  if (active === undefined || active.validity === null) {
    // Nothing is issued by the line meanwhile, so nobody is served by waiting.
    return line.kind === "root" ? published : root?.state === "active" ? (next.publishedAt ?? now) : known;
  }
  const below = (of: PlannedIssuer): boolean => rootOf(of, issuers)?.id === next.id;
  if (line.kind === "root" && issuers.some((one) => one.kind === "issuing" && one.state === "active" && below(one)))
    return now; // It is what certificates chain to already.
  const superseded =
    line.kind === "issuing" && (rootOf(active, issuers)?.generation ?? 0) < (root?.generation ?? Infinity);
  if (superseded) return known;
  return latest(known, later(active.validity.notAfter, -activateBefore(line, lifeOf(active.validity))));
}

/** When nothing of it counts any more; its end where that is not known yet. */
function retireAt(retiring: PlannedIssuer, { issuers, lastEnds, afterlifeSeconds, now }: PlanFacts): Date {
  const end = retiring.validity?.notAfter ?? now;
  const since = retiring.retiringAt ?? now;
  if (retiring.kind === "root") {
    const isBelow = (one: PlannedIssuer): boolean =>
      one.kind === "issuing" && one.state !== "retired" && rootOf(one, issuers)?.id === retiring.id;
    return issuers.some(isBelow) ? end : since;
  }
  const last = lastEnds.get(retiring.id);
  return last === undefined ? end : later(latest(last ?? since, since), afterlifeSeconds);
}

function alarmsOf(
  line: IssuerLine,
  active: PlannedIssuer | undefined,
  next: PlannedIssuer | undefined,
  moves: readonly Move[],
  facts: PlanFacts,
): Alarm[] {
  const { now } = facts;
  const until = active?.validity == null ? null : later(active.validity.notAfter, -line.longestSeconds - marginSeconds);
  const alarm = (what: string, id: string | null = null): Alarm => ({
    kind: line.kind,
    name: line.name,
    id,
    until,
    what,
  });
  const alarms: Alarm[] = [];
  const called = line.kind === "root" ? "the root" : `the issuing CA of the line ${line.name}`;
  if (active === undefined) alarms.push(alarm(`no issuer of the line ${line.name} is active: nothing is issued by it`));
  else if (until !== null && until <= now)
    alarms.push(alarm(`${called} ends too soon to give the longest lifetime that it must`, active.id));
  if (next?.validity === null)
    alarms.push(
      alarm(
        `issuing CA ${next.generation} of the line ${line.name} waits for its certificate: have its request certified ("mayfly issuers request") and bring the certificate in ("mayfly issuers import")`,
        next.id,
      ),
    );
  const overdue = moves.find(({ at, act }) => at <= now && act !== "retire");
  if (!line.automatic && overdue !== undefined)
    alarms.push(
      alarm(`${called} is to be followed, and configuration leaves it to a command: "mayfly issuers ${overdue.act}"`),
    );
  const planned = next !== undefined || moves.some(({ act }) => act === "prepare");
  if (!planned && active?.validity != null) {
    const before = prepareBefore(line, lifeOf(active.validity));
    if (later(active.validity.notAfter, -before) <= now)
      alarms.push(
        alarm(
          line.kind === "root"
            ? `${called} is to be followed, and its key is not here: have a new root made, and bring in an issuing CA's certificate below it`
            : `${called} ends with its root, and nothing that lasts longer can follow below it: a new root is needed`,
          active.id,
        ),
      );
  }
  return alarms;
}
