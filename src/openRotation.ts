/** The rotation of issuers as the composition has it: what is due is done every few seconds, and what an operator must do is said each hour. */
import { issuerWarnings } from "./config/issuers.ts";
import type { Configuration } from "./config/load.ts";
import { awaitsCertificate, certifiable, certifyIssuer, type Arrival } from "./authority/certifyIssuer.ts";
import type { StoredIssuer } from "./authority/ports.ts";
import type { RotationStore } from "./authority/rotationPorts.ts";
import type { Alarm } from "./authority/rotation/plan.ts";
import { createRotation, NotMoved, type Rotation } from "./authority/rotation/rotate.ts";
import type { Foundation } from "./foundation.ts";
import { createIssuerCertificates } from "./store/issuerCertificates.ts";
import { createIssuerStore } from "./store/issuers.ts";
import { createRotationStore } from "./store/issuerMoves.ts";

export interface OpenRotation extends Rotation {
  /** Does what is due, and says what an operator must do. */
  round(): Promise<void>;
  /** Certificates in force of an issuing CA. */
  outstanding(id: string): Promise<number>;
  /**
   * Brings a certificate in for this issuer, which waits for it; resolves to what is not as it should be, in sentences.
   * @throws {CertificateInRefused} · {NotMoved} where somebody else was faster
   */
  certify(issuer: Pick<StoredIssuer, "id" | "name">, arrival: Arrival): Promise<readonly string[]>;
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
  const store = replaced(createRotationStore(db));
  const rotation = createRotation({
    keys,
    trustDomain,
    keyLabel: configuration.keys.label,
    crlShards: revocation.crlShards,
    publicUrl: revocation.publicUrl,
    now,
    store,
    issuers,
    lines,
    afterlifeSeconds: revocation.crlLifetimeSeconds,
    onFailure({ kind, name, act }, error) {
      const { message } = error as Error;
      if (isNew(`${kind} ${name} ${act} ${message}`))
        log.error({ err: error, kind, name, act }, "an issuer could not be moved; it is tried again every few seconds");
    },
  });
  const certifying = {
    store: { ...createIssuerStore(db), ...createIssuerCertificates(db) },
    keys,
    trustDomain,
    now,
  };
  return {
    ...rotation,
    outstanding: (id) => store.outstanding(id),
    async certify({ id, name }, arrival) {
      // Alone: a root that is new with it has a generation too, which no other process may take meanwhile.
      const warnings = await store.exclusively(async () => {
        const waiting = (await store.readIssuers()).find((one) => one.id === id);
        if (waiting === undefined || !awaitsCertificate(waiting))
          throw new NotMoved("the issuer waits for no certificate");
        const found = await certifiable({ id, name }, arrival, certifying);
        if (!(await certifyIssuer(found, certifying, "operator")))
          throw new NotMoved("the issuer waits for no certificate any more");
        return found.arrived.warnings;
      });
      await issuers.reread();
      return warnings;
    },
    async round() {
      await rotation.run();
      for (const alarm of rotation.latest().alarms) tell(alarm);
    },
  };
}
