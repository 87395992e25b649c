/** The rotation of issuers as the composition has it: what is due is done every few seconds, and what an operator must do is said each hour. */
import { issuerWarnings } from "./config/issuers.ts";
import type { Configuration } from "./config/load.ts";
import type { RotationStore } from "./authority/rotationPorts.ts";
import type { Alarm } from "./authority/rotation/plan.ts";
import { createRotation, type Rotation } from "./authority/rotation/rotate.ts";
import type { Foundation } from "./foundation.ts";
import { createRotationStore } from "./store/issuerMoves.ts";

export interface OpenRotation extends Rotation {
  /** Does what is due, and says what an operator must do. */
  round(): Promise<void>;
}

/** An operator is told of the same thing once an hour. */
const toldEveryMs = 3_600_000;

export function openRotation(
  configuration: Configuration,
  { db, keys, issuers, log }: Foundation,
  now: () => Date,
  replaced: (store: RotationStore) => RotationStore = (real) => real,
): OpenRotation {
  const { issuerLines: lines, revocation, trustDomain } = configuration;
  const told = new Map<string, number>();
  const isNew = (what: string): boolean => {
    const at = now().getTime();
    if (at - (told.get(what) ?? -Infinity) < toldEveryMs) return false;
    told.set(what, at);
    return true;
  };
  const tell = ({ kind, name, id, until, what }: Alarm): void => {
    if (isNew(what)) log.warn({ kind, name, issuer: id, until }, what);
  };
  for (const warning of issuerWarnings(lines)) log.warn(warning);
  const rotation = createRotation({
    keys,
    trustDomain,
    keyLabel: configuration.keys.label,
    crlShards: revocation.crlShards,
    now,
    store: replaced(createRotationStore(db)),
    issuers,
    lines,
    afterlifeSeconds: revocation.crlLifetimeSeconds,
    onFailure({ kind, name, act }, error) {
      const { message } = error as Error;
      if (isNew(`${kind} ${name} ${act} ${message}`))
        log.error({ err: error, kind, name, act }, "an issuer could not be moved; it is tried again every few seconds");
    },
  });
  return {
    ...rotation,
    async round() {
      await rotation.run();
      for (const alarm of rotation.latest().alarms) tell(alarm);
    },
  };
}
