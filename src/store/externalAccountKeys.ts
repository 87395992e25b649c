/** External account keys in Postgres: implements the ports of the administration and of the ACME room. */
import { randomBytes } from "node:crypto";

import type { ExternalAccountKeys } from "../acme/externalAccountPorts.ts";
import type {
  AllowedIdentifiers,
  ExternalAccountKey,
  ExternalAccountKeyStore,
} from "../administration/externalAccountPorts.ts";
import { statement, type Database } from "./database.ts";
import { deactivation } from "./deactivation.ts";

/** What keeps MAC keys from being read in the database. */
export interface Sealing {
  /** What each secret begins with that this key has sealed. */
  readonly mark: Buffer;
  seal(secret: Buffer, context: string): Buffer;
  /** @throws {Error} when it was sealed otherwise */
  open(sealed: Buffer, context: string): Buffer;
}

/** True of a key that may make another account now. */
export function usable(k: string): string {
  return `${k}.revoked_at is null and (${k}.expires_at is null or ${k}.expires_at > now())
       and (${k}.uses_max is null or ${k}.uses < ${k}.uses_max)`;
}

const columns = (k: string): string =>
  `${k}.id, ${k}.directory, ${k}.description, ${k}.identifiers, ${k}.profiles, ${k}.uses_max, ${k}.uses, ${k}.expires_at,
   ${k}.created_at, ${k}.revoked_at, (${usable(k)}) as usable`;

const macKey = statement(
  "external_account_mac_key",
  `select k.sealed_mac_key, (${usable("k")}) as usable from external_account_key k where k.id = $1 and k.directory = $2`,
);

const audited = (change: string, event: string): string =>
  `${change}_audit as (
     insert into audit_entry (event, actor, subject, detail)
     select '${event}', 'operator', 'externalAccountKey:' || id, jsonb_build_object('directory', directory) from ${change}
   )`;

const create = statement(
  "external_account_key_create",
  `with made as (
     insert into external_account_key (id, directory, sealed_mac_key, description, identifiers, profiles, uses_max, expires_at)
     values ($1, $2, $3, $4, $5, $6, $7, $8)
     on conflict (id) do nothing
     returning *
   ), ${audited("made", "externalAccountKey.created")}
   select ${columns("made")} from made`,
);

const read = statement(
  "external_account_key_read",
  `select ${columns("k")} from external_account_key k where k.id = $1`,
);

const accounts = statement(
  "external_account_key_accounts",
  `select id from account where external_account_key_id = $1 order by id desc limit $2`,
);

const list = statement(
  "external_account_key_list",
  `select ${columns("k")} from external_account_key k
   where ($1::text is null or k.directory = $1) and ($2::boolean is null or (${usable("k")}) = $2) and ($3::text is null or k.id < $3)
   order by k.id desc limit $4`,
);

const sealedOtherwise = statement(
  "external_account_key_sealed_otherwise",
  `select count(*) as keys from external_account_key k
   where ${usable("k")} and substring(k.sealed_mac_key for length($1::bytea)) <> $1::bytea`,
);

const revocation = (also: string, ended: string): string =>
  `with revoked as (
     update external_account_key set revoked_at = now() where id = $1 and revoked_at is null returning *
   ), ${audited("revoked", "externalAccountKey.revoked")}${also}
   select ${columns("r")}, ${ended} as ended from revoked r
   union all
   select ${columns("k")}, ${ended} from external_account_key k where k.id = $1 and k.revoked_at is not null`;

const revoke = statement("external_account_key_revoke", revocation("", "0"));
const revokeWithAccounts = statement(
  "external_account_key_revoke_accounts",
  revocation(
    `, ${deactivation("a.external_account_key_id = $1", "a.id", "'operator'")}`,
    "(select count(*)::integer from gone)",
  ),
);

interface Row {
  id: string;
  directory: string;
  description: string | null;
  identifiers: AllowedIdentifiers | null;
  profiles: string[] | null;
  uses_max: number | null;
  uses: number;
  expires_at: Date | null;
  created_at: Date;
  revoked_at: Date | null;
  usable: boolean;
}

const keyOf = (row: Row): ExternalAccountKey => ({
  id: row.id,
  directory: row.directory,
  description: row.description,
  identifiers: row.identifiers,
  profiles: row.profiles,
  usesMax: row.uses_max,
  uses: row.uses_max === null ? null : row.uses,
  expiresAt: row.expires_at,
  createdAt: row.created_at,
  revokedAt: row.revoked_at,
  usable: row.usable,
});

/** A MAC key opens where it belongs only: another row's would be refused. */
const belongsTo = (directory: string, id: string): string => `external account key ${directory} ${id}`;

/** How many keys that could still make an account do not open with this sealing. */
export async function countSealedOtherwise(db: Database, { mark }: Pick<Sealing, "mark">): Promise<number> {
  const [row] = await db.run<{ keys: number }>(sealedOtherwise, [mark]);
  return row?.keys ?? 0;
}

/** @param sealing the same for all servers of a database */
export function createExternalAccountKeyStore(
  db: Database,
  sealing: Sealing,
): ExternalAccountKeyStore & ExternalAccountKeys {
  // Opened where there is no key, so that both answers take as long.
  const nobodys = sealing.seal(randomBytes(32), "");
  const one = ([row]: Row[]): ExternalAccountKey | undefined => row && keyOf(row);
  return {
    async findMacKey(directory, keyId) {
      const [row] = await db.run<{ sealed_mac_key: Buffer; usable: boolean }>(macKey, [keyId, directory]);
      const opened = sealing.open(row?.sealed_mac_key ?? nobodys, row === undefined ? "" : belongsTo(directory, keyId));
      return row && { macKey: opened, usable: row.usable };
    },
    async createKey({ id, directory, description, identifiers, profiles, usesMax, expiresAt, ...key }) {
      const sealed = sealing.seal(key.macKey, belongsTo(directory, id));
      return one(
        await db.run<Row>(create, [id, directory, sealed, description, identifiers, profiles, usesMax, expiresAt]),
      );
    },
    readKey: async (id) => one(await db.run<Row>(read, [id])),
    accountsOf: async (id, limit) => (await db.run<{ id: string }>(accounts, [id, limit])).map((row) => row.id),
    listKeys: async ({ directory, usable: wanted }, after, limit) =>
      (await db.run<Row>(list, [directory ?? null, wanted ?? null, after ?? null, limit])).map(keyOf),
    async revokeKey(id, { deactivateAccounts }) {
      const how = deactivateAccounts ? revokeWithAccounts : revoke;
      const [row] = await db.run<Row & { ended: number }>(how, [id]);
      return row && { key: keyOf(row), deactivatedAccounts: row.ended };
    },
  };
}
