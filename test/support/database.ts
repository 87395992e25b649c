/** A migrated database of a test file's own, and rows to put into it through the stores themselves. */
import { randomBytes } from "node:crypto";

import { newId } from "../../src/acme/id.ts";
import type { Account } from "../../src/acme/accountPorts.ts";
import type { NewOrder, Signer } from "../../src/acme/ports.ts";
import type { Intent } from "../../src/authority/ports.ts";
import { createAccountStore } from "../../src/store/accounts.ts";
import { openDatabase, type Database } from "../../src/store/database.ts";
import { createIssuanceLedger } from "../../src/store/issuance.ts";
import { migrate } from "../../src/store/migrate.ts";
import { createOrderStore } from "../../src/store/orders.ts";
import { sha256 } from "./issuers.ts";
import { temporaryPostgres } from "./postgres.ts";

interface Owner {
  teardown(action: () => Promise<void>): unknown;
}

/** A pool on `url`, closed with the test. */
export function openPool(t: Owner, url: string, poolSize = 20): Database {
  const db = openDatabase({ address: { url }, poolSize, statementTimeoutMs: 10_000, onError: () => undefined });
  t.teardown(() => db.close());
  return db;
}

/** Every table there is, empty. */
export async function migratedDatabase(t: Owner): Promise<Database> {
  const { url } = await temporaryPostgres(t);
  const db = openPool(t, url);
  await migrate(db.kysely);
  return db;
}

/** Rows that a statement of the test's own reads. */
export const query = <Row extends object>(db: Database, text: string, values: unknown[] = []): Promise<Row[]> =>
  db.run<Row>({ name: "", text }, values);

/** A made-up account key. */
export const accountKey = () => ({
  thumbprint: randomBytes(32),
  jwk: { kty: "EC", x: randomBytes(8).toString("hex") },
  spkiSha256: randomBytes(32),
});

/** What `createAccount` takes. */
export const newAccount = (key = accountKey(), directory = "default") => ({
  id: newId(new Date()),
  directory,
  ...key,
  contact: [],
  termsAgreedAt: null,
  termsOfService: null,
});

/** An account; it is also the signer of its requests. */
export async function makeAccount(db: Database): Promise<Account> {
  const made = newAccount();
  const outcome = await createAccountStore(db).createAccount(made);
  if (outcome === undefined) throw new Error("no account was made");
  return outcome.account;
}

const hourAhead = (): Date => new Date(Date.now() + 3_600_000);

/** An order for one name, with its pending authorization. */
export function orderFor(changes: Partial<NewOrder> = {}): NewOrder {
  const identifier = { type: "dns", value: "a.test" } as const;
  return {
    id: newId(new Date()),
    identifiers: [identifier],
    profile: "server",
    profileHash: sha256("server"),
    notBefore: null,
    notAfter: null,
    expiresAt: hourAhead(),
    accountSpkiSha256: sha256("no such key"),
    authorizations: [
      {
        id: newId(new Date()),
        identifier,
        wildcard: false,
        subdomains: false,
        ancestors: [],
        expiresAt: hourAhead(),
        challenges: [{ type: "http-01", token: "token", status: "pending" }],
      },
    ],
    authorizationOf: [0],
    reuse: false,
    termsOfService: undefined,
    identityName: "a.test",
    replaces: null,
    ...changes,
  };
}

/** Makes the order and validates its authorizations: it is `ready` then. */
export async function makeReadyOrder(db: Database, signer: Signer, changes: Partial<NewOrder> = {}): Promise<NewOrder> {
  const store = createOrderStore(db);
  const order = orderFor(changes);
  await store.createOrder(signer, order);
  for (const { id } of order.authorizations) {
    await store.validated(id, { type: "http-01", token: "token", status: "valid" }, hourAhead());
  }
  return order;
}

/** The issuer of intents that name none. */
const madeIssuerId = newId(new Date());

/** An active issuing CA, as far as statements look at one. */
export async function makeIssuer(db: Database, id = madeIssuerId): Promise<void> {
  await query(
    db,
    `insert into issuer (id, kind, name, generation, state, certificate, not_after, key_label, spki_sha256, published_at, activated_at)
     select $1::uuid, 'issuing', 'line-' || left(md5(($1::uuid)::text), 8), 1, 'active', $2, now() + interval '1 year', 'none', $2, now(), now()
     where not exists (select from issuer where id = $1::uuid)`,
    [id, sha256(id)],
  );
}

/** An intent without an order, as the listener's own, with changes. */
export function intentFor(changes: Partial<Intent> = {}): Intent {
  const serial = randomBytes(16);
  serial[0] = 0x4f;
  return {
    serial,
    tbs: randomBytes(40),
    issuerId: madeIssuerId,
    door: "listener",
    orderId: null,
    accountId: null,
    identityKind: "names",
    identityName: "a.test",
    spiffeId: null,
    dnsNames: ["a.test"],
    ipAddresses: [],
    profile: "server",
    profileHash: sha256("server"),
    keyReuse: "any",
    spkiSha256: sha256(serial),
    evidence: [{ proved: { by: "configuration" } }],
    storedGrant: null,
    notBefore: new Date(Date.now() - 60_000),
    notAfter: hourAhead(),
    permanentIdentifier: null,
    ...changes,
  };
}

/** Intent and record: a certificate in the inventory. */
export async function makeCertificate(db: Database, changes: Partial<Intent> = {}): Promise<Intent> {
  const intent = intentFor(changes);
  const ledger = createIssuanceLedger(db);
  await makeIssuer(db, intent.issuerId);
  if ((await ledger.intend(intent)) !== "intended") throw new Error("the order is not ready");
  if (!(await ledger.record(intent.serial, Buffer.concat([Buffer.from("der"), intent.serial])))) {
    throw new Error("the certificate was not recorded");
  }
  return intent;
}

/** An identity of one SPIFFE ID, for `makeCertificate`. */
export const spiffe = (spiffeId: string): Partial<Intent> => ({
  identityKind: "spiffe",
  identityName: spiffeId,
  spiffeId,
  dnsNames: [],
});
