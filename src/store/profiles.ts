/** Profiles by their hash: what certificates were issued under, whatever the configuration says by now. */
import type { ProfileLedger } from "../authority/ports.ts";
import type { ProfileRecord, ProfileStore } from "../inventory/profilePorts.ts";
import { statement, type Database } from "./database.ts";

const remember = statement(
  "profile_remember",
  `insert into profile (hash, name, configuration)
   select p.hash, p.name, p.configuration
   from unnest($1::bytea[], $2::text[], $3::jsonb[]) as p(hash, name, configuration)
   on conflict (hash) do nothing`,
);
const read = statement(
  "profile_read",
  `select name, hash, configuration, first_seen_at as "firstSeenAt" from profile where hash = $1`,
);

/** Implements `ProfileLedger` of the authority and `ProfileStore` of the inventory. */
export function createProfileStore(db: Database): ProfileLedger & ProfileStore {
  return {
    async remember(profiles) {
      await db.run(remember, [
        profiles.map(({ hash }) => hash),
        profiles.map(({ name }) => name),
        profiles.map(({ json }) => json),
      ]);
    },
    readProfile: async (hash) => (await db.run<ProfileRecord>(read, [hash]))[0],
  };
}
