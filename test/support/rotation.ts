/** Issuers in memory with a clock that the test sets, for what is said about years. */
import { openIssuers } from "../../src/authority/issuers.ts";
import type { Issuers } from "../../src/authority/issuer.ts";
import type { IssuerLines } from "../../src/authority/issuerLine.ts";
import type { StoredIssuer } from "../../src/authority/ports.ts";
import type { RotationStore } from "../../src/authority/rotationPorts.ts";
import { makeIssuer } from "../../src/authority/rotation/makeIssuer.ts";
import { createRotation, type Rotation } from "../../src/authority/rotation/rotate.ts";
import type { Move } from "../../src/authority/rotation/plan.ts";
import { memoryKeys, trustDomain, type MemoryKeys } from "./issuers.ts";

export const day = 86_400;

/** Lines of seconds, with changes to `default`. */
export function testLines(
  changes: Partial<IssuerLines["root"]> = {},
  root: Partial<IssuerLines["root"]> = {},
): IssuerLines {
  const common = { keyKind: "ec-p256", name: "default", automatic: true } as const;
  const line = {
    ...common,
    kind: "issuing",
    lifetimeSeconds: 90 * day,
    publishedSeconds: 300,
    longestSeconds: 7 * day,
    ...changes,
  } as const;
  return {
    root: {
      ...common,
      kind: "root",
      lifetimeSeconds: 3650 * day,
      publishedSeconds: 30 * day,
      longestSeconds: line.lifetimeSeconds,
      ...root,
    },
    issuing: new Map([[line.name, line]]),
  };
}

export interface Clock {
  now: Date;
}

/** What the statements do, on an array. */
export function memoryRotationStore(
  clock: Clock,
): RotationStore & { issuers: StoredIssuer[]; ends: Map<string, Date> } {
  let issuers: StoredIssuer[] = [];
  const ends = new Map<string, Date>();
  let last: Promise<unknown> = Promise.resolve();
  const at = (id: string): StoredIssuer | undefined => issuers.find((one) => one.id === id);
  function set(id: string, changes: Partial<StoredIssuer>): true {
    issuers = issuers.map((one) => (one.id === id ? { ...one, ...changes } : one));
    return true;
  }
  const lastEnd = async (id: string): Promise<Date | null> => {
    const end = ends.get(id);
    return end !== undefined && end > clock.now ? end : null;
  };
  return {
    get issuers() {
      return issuers;
    },
    ends,
    readIssuers: async () => issuers,
    exclusively(action) {
      const mine = last.then(action);
      last = mine.catch(() => undefined);
      return mine;
    },
    async insertNext(issuer) {
      if (
        issuers.some(
          ({ kind, name, generation }) =>
            kind === issuer.kind && name === issuer.name && generation === issuer.generation,
        )
      )
        return false;
      const times = {
        createdAt: clock.now,
        publishedAt: null,
        activatedAt: null,
        retiringAt: null,
        retiredAt: null,
        revokedAt: null,
      };
      issuers = [...issuers, { ...issuer, ...times }];
      return true;
    },
    publish: async (id) => at(id)?.state === "prepared" && set(id, { state: "published", publishedAt: clock.now }),
    async activate({ id, previous, publishedSeconds }) {
      const next = at(id);
      const published = next?.publishedAt?.getTime() ?? Infinity;
      const early = publishedSeconds !== null && published + publishedSeconds * 1000 > clock.now.getTime();
      if (next === undefined || early) return false;
      if (previous !== null) {
        if (at(previous)?.state !== "active") return false;
        set(previous, { state: "retiring", retiringAt: clock.now });
      }
      return set(id, { state: "active", activatedAt: clock.now });
    },
    stop: async (id) => set(id, { state: "retiring", retiringAt: clock.now }),
    async retire(id, _, anyway) {
      const one = at(id);
      if (one?.state !== "retiring") return false;
      const counts =
        one.kind === "root"
          ? issuers.some(({ parentId, state }) => parentId === id && state !== "retired")
          : (await lastEnd(id)) !== null;
      return (!counts || anyway) && set(id, { state: "retired", retiredAt: clock.now });
    },
    discard: async (id) => set(id, { state: "retired", retiredAt: clock.now }),
    lastEnd,
    outstanding: async () => 0,
  };
}

export interface RotationGround {
  readonly clock: Clock;
  readonly store: ReturnType<typeof memoryRotationStore>;
  readonly rotation: Rotation;
  readonly issuers: Issuers;
  readonly keys: MemoryKeys;
  readonly moves: Move[];
  readonly failures: unknown[];
}

/** A first root and issuing CA of these lines, and their rotation. */
export async function rotationGround(
  lines: IssuerLines,
  start = new Date("2026-11-26T12:00:00Z"),
): Promise<RotationGround> {
  const clock: Clock = { now: start };
  const [store, keys] = [memoryRotationStore(clock), memoryKeys()];
  const moves: Move[] = [];
  const failures: unknown[] = [];
  const ground = {
    keys,
    trustDomain,
    keyLabel: "ca",
    crlShards: 16,
    publicUrl: "https://ca.test",
    now: () => clock.now,
  };
  for (const line of [lines.root, ...lines.issuing.values()]) {
    const made = await makeIssuer(line, store.issuers, ground);
    await store.insertNext({ ...made, state: "active" }, "test");
  }
  const issuers = await openIssuers({ keys, store, trustDomain, publicUrl: "https://ca.test", now: () => clock.now });
  const rotation = createRotation({
    ...ground,
    store,
    issuers,
    lines,
    afterlifeSeconds: day,
    onMove: (move) => moves.push(move),
    onFailure: (_, error) => failures.push(error),
  });
  return { clock, store, rotation, issuers, keys, moves, failures };
}
