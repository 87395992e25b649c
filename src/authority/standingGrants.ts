/**
 * The grants that stand now: those of the configuration, in its order, then those of the database, by name. Of several that allow an
 * identity the first counts, so what an operator wrote into the configuration is never overridden from elsewhere.
 *
 * What is held here may be behind the database by a moment. It is asked who could have what; that a grant of the database still stands
 * is a condition of the statements that act on it.
 */
import { readGrant } from "./grantReader.ts";
import type { Grant, GrantOrigin, GrantSurroundings } from "./grants.ts";
import type { GrantChanges, WrittenGrant } from "./ports.ts";

/** A grant that nobody ended, whether it counts or not. */
export interface StandingGrant {
  readonly name: string;
  readonly version: string;
  readonly origin: GrantOrigin;
  /** As it is written. */
  readonly configuration: object;
  readonly owner: string | null;
  /** As it counts; undefined where `inactive` says why it does not. */
  readonly grant: Grant | undefined;
  readonly inactive: string | undefined;
  /** How it came into the database; undefined for one of the configuration. */
  readonly written: WrittenGrant | undefined;
}

export interface StandingGrants {
  /** Those that count. The same array until something changes. */
  active(): readonly Grant[];
  /** All, in the same order. */
  all(): readonly StandingGrant[];
  /** Brings both up to date. Questions that come while the database is asked share the next answer. */
  reread(): Promise<void>;
}

export interface StandingGrantsOptions {
  readonly configured: readonly Grant[];
  readonly surroundings: GrantSurroundings;
  readonly changes: GrantChanges;
  /** Told of a grant of the database that does not count, when it is first seen. */
  readonly onInactive: (grant: StandingGrant) => void;
}

/** Knows the configured ones from the start, those of the database after the first `reread`. */
export function createStandingGrants(options: StandingGrantsOptions): StandingGrants {
  const { configured, surroundings, changes, onInactive } = options;
  const ours = configured.map(configuredGrant);
  const taken = new Set(configured.map(({ name }) => name));
  const stored = new Map<string, StandingGrant>();
  let count = -1;
  let lists = listsOf(ours, stored);
  let asking: Promise<void> | undefined;
  let waiting: Promise<void> | undefined;

  async function look(): Promise<void> {
    const { count: now, changed } = await changes.changesSince(count);
    count = now;
    if (changed.length === 0) return;
    for (const written of changed) {
      if (written.ended) {
        if (stored.get(written.name)?.written?.sequence === written.sequence) stored.delete(written.name);
        continue;
      }
      const standing = standingGrant(written, taken, surroundings);
      if (standing.inactive !== undefined) onInactive(standing);
      stored.set(written.name, standing);
    }
    lists = listsOf(ours, stored);
  }

  /** One look at a time; whoever asks while one is under way gets the next, which begins after the question. */
  function reread(): Promise<void> {
    if (asking === undefined) {
      asking = look().finally(() => (asking = undefined));
      return asking;
    }
    const again = (): Promise<void> => {
      waiting = undefined;
      return reread();
    };
    return (waiting ??= asking.then(again, again));
  }

  return { active: () => lists.active, all: () => lists.all, reread };
}

function listsOf(ours: readonly StandingGrant[], stored: ReadonlyMap<string, StandingGrant>) {
  const byName = [...stored.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  const all = [...ours, ...byName];
  return { all, active: all.flatMap(({ grant }) => grant ?? []) };
}

const configuredGrant = (grant: Grant): StandingGrant => ({
  name: grant.name,
  version: grant.version,
  origin: "configuration",
  configuration: grant.configuration,
  owner: grant.owner ?? null,
  grant,
  inactive: undefined,
  written: undefined,
});

/** A grant of the database, held against the sources and profiles of today. */
function standingGrant(
  written: WrittenGrant,
  taken: ReadonlySet<string>,
  surroundings: GrantSurroundings,
): StandingGrant {
  const { name, version, configuration, owner } = written;
  const common = { name, version, origin: "database", configuration, owner, written } as const;
  const inactive = (reason: string): StandingGrant => ({ ...common, grant: undefined, inactive: reason });
  if (taken.has(name)) return inactive("a grant of the configuration has this name and counts in its place");
  try {
    const grant = readGrant(name, configuration, surroundings);
    if (grant.version !== version) return inactive("its text is not the one that its version names");
    return { ...common, grant, inactive: undefined };
  } catch (error) {
    return inactive((error as Error).message);
  }
}
