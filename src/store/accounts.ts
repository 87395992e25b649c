/** Accounts (RFC 8555 §7.1.2) in Postgres: implements `AccountStore` of the ACME room. */
import type { Account, AccountStore, MadeAccount, NewAccount } from "../acme/accountPorts.ts";
import type { AllowedIdentifiers } from "../acme/externalAccountPorts.ts";
import type { AccountStatus } from "../acme/state.ts";
import { isBlocked, isKeyBlocked } from "./blockedKeys.ts";
import { statement, violatedConstraint, type Database, type Statement } from "./database.ts";
import { deactivation } from "./deactivation.ts";
import { usable } from "./externalAccountKeys.ts";
import { isSigner, signerValues } from "./signer.ts";

interface AccountRow {
  id: string;
  directory: string;
  jwk_thumbprint: Buffer;
  jwk: Record<string, string>;
  status: AccountStatus;
  contact: string[];
  terms_agreed_at: Date | null;
  terms_of_service: string | null;
  external_account_binding: object | null;
  allowed_identifiers: AllowedIdentifiers | null;
  allowed_profiles: string[] | null;
}

const columns = `id, directory, jwk_thumbprint, jwk, status, contact, terms_agreed_at, terms_of_service, external_account_binding,
  allowed_identifiers, allowed_profiles`;

const insertion = (bound: { columns: string; values: string; from: string; where: string; and: string }): string =>
  `with made as (
     insert into account (id, directory, jwk_thumbprint, jwk, contact, terms_agreed_at, terms_of_service${bound.columns})
     select $1, $2, $3, $4, $5, $6, $7${bound.values}${bound.from}
     where not ${isBlocked("$8")}${bound.where}
     on conflict (jwk_thumbprint, directory) do nothing
     returning ${columns}
   )${bound.and}
   select true as created, made.* from made
   union all
   select false, ${columns} from account where jwk_thumbprint = $3 and directory = $2 and not exists (select from made)`;

const insert = statement("account_insert", insertion({ columns: "", values: "", from: "", where: "", and: "" }));

// The use is counted only where an account is made, and without a condition: a use too many violates the table's constraint, one of a
// key that was revoked meanwhile its not-null, and the account goes with it. A key with any number of uses is not written at all.
const insertBound = statement(
  "account_insert_bound",
  insertion({
    columns: ", external_account_key_id, external_account_binding, allowed_identifiers, allowed_profiles",
    values: ", e.id, $10, e.identifiers, e.profiles",
    from: " from external_account_key e",
    where: ` and e.id = $9 and e.directory = $2 and ${usable("e")}`,
    and: `, used as (
     update external_account_key e set uses = case when e.revoked_at is null then e.uses + 1 end
     from made where e.id = $9 and e.uses_max is not null
   )`,
  }),
);
const byThumbprint = statement(
  "account_by_thumbprint",
  `select ${columns} from account where directory = $1 and jwk_thumbprint = $2`,
);
const byId = statement("account_by_id", `select ${columns} from account where directory = $1 and id = $2`);
const setTerms = statement(
  "account_agree",
  `update account a set terms_of_service = $4, terms_agreed_at = $5 where ${isSigner("a", 1)} and a.status = 'valid'
   returning ${columns}`,
);
const setContact = statement(
  "account_contact",
  `update account a set contact = $4 where ${isSigner("a", 1)} and a.status = 'valid' returning ${columns}`,
);

const deactivate = statement(
  "account_deactivate",
  `with ${deactivation(isSigner("a", 1), columns, "'account:' || id")} select * from gone`,
);

// The old key is kept as one that was an account's: no certificate is made for it (RFC 8555 §11.1).
const changeKey = statement(
  "account_change_key",
  `with changed as (
     update account a set jwk_thumbprint = $4, jwk = $5
     where ${isSigner("a", 1)} and a.status = 'valid'
       and not exists (select from account where directory = $2 and jwk_thumbprint = $4) and not ${isBlocked("$6")}
     returning id
   ), former as (
     insert into account_former_key (jwk_thumbprint, account_id) select $3, id from changed on conflict do nothing
   ), audit as (
     insert into audit_entry (event, actor, subject) select 'account.keyChanged', 'account:' || id, 'account:' || id from changed
   )
   select id, true as changed from changed
   union all
   select id, false from account where directory = $2 and jwk_thumbprint = $4 and not exists (select from changed)`,
);

const accountOf = (row: AccountRow): Account => ({
  id: row.id,
  directory: row.directory,
  status: row.status,
  jwk: row.jwk,
  thumbprint: row.jwk_thumbprint,
  contact: row.contact,
  termsAgreedAt: row.terms_agreed_at,
  termsOfService: row.terms_of_service,
  externalAccountBinding: row.external_account_binding,
  restrictions:
    row.allowed_identifiers === null && row.allowed_profiles === null
      ? undefined
      : { identifiers: row.allowed_identifiers, profiles: row.allowed_profiles },
});

/** Every key that an account has had counts for dns-persist-01; with so many changes the oldest do not any more. */
const formerKeysMax = 1_000;

const formerKeys = statement(
  "account_former_keys",
  `select jwk_thumbprint from account_former_key where account_id = $1 order by replaced_at desc limit ${formerKeysMax}`,
);

const valuesOf = (account: NewAccount): unknown[] => {
  const { id, directory, thumbprint, jwk, spkiSha256, contact, termsAgreedAt, termsOfService } = account;
  return [id, directory, thumbprint, JSON.stringify(jwk), contact, termsAgreedAt, termsOfService, spkiSha256];
};

/** How often to look again when another insert of the same key, or of the same binding, commits between our insert and our select. */
const insertAttempts = 3;
/** What a use too many violates, and one of a revoked key: see `insertBound`. */
const useRefused = ["external_account_key_uses", "external_account_key.uses"];
/** One account for each key in a directory. */
const accountKey = "account_key";

export function createAccountStore(db: Database): AccountStore {
  /** Undefined when the key is blocked; `refused` when neither is possible without that. */
  async function insertOrFind(
    how: Statement,
    account: NewAccount,
    also: readonly unknown[],
  ): Promise<MadeAccount | "refused" | undefined> {
    for (let attempt = 0; attempt < insertAttempts; attempt++) {
      const values = [...valuesOf(account), ...also];
      const [row] = await db.run<AccountRow & { created: boolean }>(how, values).catch((error: unknown) => {
        if (how === insertBound && useRefused.includes(violatedConstraint(error) ?? "")) return [];
        throw error;
      });
      if (row !== undefined) return { created: row.created, account: accountOf(row) };
      if (await isKeyBlocked(db, account.spkiSha256)) return undefined;
    }
    return "refused";
  }
  const one = (rows: AccountRow[]): Account | undefined => rows[0] && accountOf(rows[0]);
  return {
    async createAccount(account) {
      const made = await insertOrFind(insert, account, []);
      if (made === "refused") throw new Error("an account could neither be made nor found");
      return made;
    },
    async createBoundAccount(account, { keyId, jws }) {
      const made = await insertOrFind(insertBound, account, [keyId, JSON.stringify(jws)]);
      return made === "refused" ? "bindingRefused" : made;
    },
    findAccountByThumbprint: async (directory, thumbprint) =>
      one(await db.run<AccountRow>(byThumbprint, [directory, thumbprint])),
    findAccount: async (directory, id) => one(await db.run<AccountRow>(byId, [directory, id])),
    async formerKeys(id) {
      const rows = await db.run<{ jwk_thumbprint: Buffer }>(formerKeys, [id]);
      return rows.map(({ jwk_thumbprint }) => jwk_thumbprint);
    },
    agreeToTerms: async (signer, termsOfService, now) =>
      one(await db.run<AccountRow>(setTerms, [...signerValues(signer), termsOfService, now])),
    updateContact: async (signer, contact) =>
      one(await db.run<AccountRow>(setContact, [...signerValues(signer), contact])),
    deactivateAccount: async (signer) => one(await db.run<AccountRow>(deactivate, signerValues(signer))),
    async changeKey(signer, key) {
      const values = [...signerValues(signer), key.thumbprint, JSON.stringify(key.jwk), key.spkiSha256];
      const [row] = await db.run<{ id: string; changed: boolean }>(changeKey, values).catch((error: unknown) => {
        // Two changes to one key at once: the unique constraint decides, and the second look finds the winner.
        if (violatedConstraint(error) !== accountKey) throw error;
        return db.run<{ id: string; changed: boolean }>(changeKey, values);
      });
      if (row === undefined) return { outcome: (await isKeyBlocked(db, key.spkiSha256)) ? "blocked" : "stale" };
      return row.changed ? { outcome: "changed" } : { outcome: "taken", by: row.id };
    },
  };
}
