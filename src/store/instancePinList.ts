/** Instance pins as operators see them: implements `InstancePinStore` of the administration. */
import type { InstancePin, InstancePinStore } from "../administration/pinPorts.ts";
import { statement, type Database } from "./database.ts";

/** Thumbprints of the present keys of accounts, in their order. */
const keysOf = (accounts: string): string =>
  `array(select a.jwk_thumbprint from unnest(${accounts}) with ordinality as u(id, n) join account a on a.id = u.id order by u.n)`;

const list = statement(
  "instance_pin_list",
  `select source, instance, ${keysOf("accounts")} as accounts, most, once, shown, first_seen_at, last_seen_at, shared_at,
          nullif(expires_at, 'infinity') as expires_at
   from instance_pin
   where expires_at > now() and ($1::text is null or source = $1) and ($2::text is null or instance = $2)
     and (not $3::boolean or shared_at is not null)
     and ($4::text is null or (source, instance) > ($4, $5::text))
   order by source, instance limit $6`,
);

const release = statement(
  "instance_pin_release",
  `with gone as (
     delete from instance_pin where source = $1 and instance = $2 returning source, instance, accounts, expires_at
   ), audit as (
     insert into audit_entry (event, actor, subject, detail)
     select 'instance.released', 'operator', 'instance:' || source,
            jsonb_build_object('instance', instance, 'accounts', cardinality(accounts))
     from gone
   )
   select 1 from gone where expires_at > now()`,
);

interface PinRow {
  source: string;
  instance: string;
  accounts: Buffer[];
  most: number;
  once: boolean;
  shown: number;
  first_seen_at: Date;
  last_seen_at: Date;
  shared_at: Date | null;
  expires_at: Date | null;
}

function modeOf({ once, most }: PinRow): InstancePin["mode"] {
  if (once) return "once";
  if (most === 0) return "alert";
  return most === 1 ? "strict" : "count";
}

export function createInstancePinStore(db: Database): InstancePinStore {
  return {
    async listPins({ source = null, instance = null, shared }, after, limit) {
      const values = [source, instance, shared, after?.source ?? null, after?.instance ?? null, limit];
      return (await db.run<PinRow>(list, values)).map((row) => ({
        source: row.source,
        instance: row.instance,
        mode: modeOf(row),
        most: row.most === 0 ? null : row.most,
        accounts: row.accounts,
        shown: row.shown,
        firstSeenAt: row.first_seen_at,
        lastSeenAt: row.last_seen_at,
        sharedAt: row.shared_at,
        expiresAt: row.expires_at,
      }));
    },
    releasePin: async ({ source, instance }) => (await db.run(release, [source, instance])).length === 1,
  };
}
