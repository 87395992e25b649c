/**
 * The SQL against the transitions of state.ts: every statement that changes a status, from every state there is, on a real database.
 * What moves must be exactly the arrows, no more and no fewer.
 */
import { randomBytes } from "node:crypto";
import t from "tap";
import type { Challenge, NewOrder, Signer } from "../../src/acme/ports.ts";
import {
  authorizationTransitions,
  orderTransitions,
  type AuthorizationStatus,
  type OrderStatus,
} from "../../src/acme/state.ts";
import { createAccountStore } from "../../src/store/accounts.ts";
import { createIssuanceLedger } from "../../src/store/issuance.ts";
import { createOrderStore } from "../../src/store/orders.ts";
import {
  intentFor,
  makeAccount,
  makeCertificate,
  makeIssuer,
  migratedDatabase,
  orderFor,
  query,
} from "../support/database.ts";

const orderStates: readonly OrderStatus[] = ["pending", "ready", "processing", "valid", "invalid"];
const authorizationStates: readonly AuthorizationStatus[] = [
  "pending",
  "valid",
  "invalid",
  "deactivated",
  "expired",
  "revoked",
];

const db = await migratedDatabase(t);
await makeIssuer(db);
const [accounts, orders, ledger] = [createAccountStore(db), createOrderStore(db), createIssuanceLedger(db)];
const hourAhead = (): Date => new Date(Date.now() + 3_600_000);
const challenge = (status: Challenge["status"]): Challenge => ({ type: "http-01", token: "token", status });
const record = {
  spki: "S",
  source: "dev",
  format: "jwt",
  digest: "00",
  bindingLevel: "nonce",
  grant: "g",
  grantVersion: "1",
  claims: {},
} as const;

/** An order and whose it is. */
type MadeOrder = NewOrder & { readonly signer: Signer };

/** One change each; named for the statement that makes it. Those behind the intent write it first, while the order is as it is. */
const changes: Readonly<Record<string, (order: MadeOrder, authorizationId: string) => Promise<unknown>>> = {
  beginValidation: ({ signer }, id) => orders.beginValidation(signer, id, challenge("processing")),
  validated: (_, id) => orders.validated(id, challenge("valid"), hourAhead()),
  attested: (order, id) =>
    orders.attested({
      signer: order.signer,
      authorizationId: id,
      orderId: order.id,
      challenge: challenge("valid"),
      expiresAt: hourAhead(),
      attestation: record,
      storedGrant: null,
      instances: [],
      evidence: [{ oneTimeId: randomBytes(32), source: "dev", replayUntil: hourAhead() }],
    }),
  failed: (order, id) => orders.failed({ id, orderId: order.id }, challenge("invalid")),
  deactivateAuthorization: ({ signer }, id) => orders.deactivateAuthorization(signer, id),
  deactivateAccount: ({ signer }) => accounts.deactivateAccount(signer),
  // Another order takes the place of this one, whose time has run out, as the successor of a certificate (RFC 9773 §5).
  replace: async ({ id, signer }) => {
    const { serial, issuerId } = await makeCertificate(db, { accountId: signer.id });
    await query(db, "insert into certificate_replacement (serial, order_id) values ($1, $2)", [serial, id]);
    await query(db, "update acme_order set expires_at = now() where id = $1", [id]);
    await orders.createOrder(signer, orderFor({ replaces: { id: "id", serial, issuerIds: [issuerId] } }));
  },
  intend: ({ id, signer }) => ledger.intend(intentFor({ door: "acme", orderId: id, accountId: signer.id })),
  record: async ({ id, signer }) => {
    const serial = await standingIntent(id, signer.id);
    return ledger.record(serial, Buffer.from("der"));
  },
  abandon: async ({ id, signer }) => ledger.abandon(await standingIntent(id, signer.id), "gone"),
};

/** An intent for the order in whatever state that is. */
async function standingIntent(orderId: string, accountId: string): Promise<Buffer> {
  const intent = intentFor();
  await ledger.intend(intent);
  const text = "update issuance_intent set order_id = $2, account_id = $3 where serial = $1";
  await query(db, text, [intent.serial, orderId, accountId]);
  return intent.serial;
}

interface Case {
  readonly orderStatus: OrderStatus;
  readonly authorizationStatus: AuthorizationStatus;
  readonly pendingAuthorizations: number;
}

/** An order and its authorization in these states; resolves to what `change` made of them. */
async function moved(
  { orderStatus, authorizationStatus, pendingAuthorizations }: Case,
  change: string,
  prepare?: (order: MadeOrder) => Promise<unknown>,
) {
  const order = { ...orderFor(), signer: await makeAccount(db) };
  await orders.createOrder(order.signer, order);
  const [{ id } = { id: "" }] = order.authorizations;
  await query(db, "update acme_order set status = $2, authorizations_pending = $3 where id = $1", [
    order.id,
    orderStatus,
    pendingAuthorizations,
  ]);
  await query(db, "update acme_authorization set status = $2 where id = $1", [id, authorizationStatus]);
  await prepare?.(order);
  await changes[change]?.(order, id);
  const [after] = await query<{ o: OrderStatus; z: AuthorizationStatus }>(
    db,
    "select o.status as o, z.status as z from acme_order o, acme_authorization z where o.id = $1 and z.id = $2",
    [order.id, id],
  );
  return { order: after?.o ?? orderStatus, authorization: after?.z ?? authorizationStatus };
}

/** The states an order can be in together with how many of its authorizations are still open. */
const cases: readonly Case[] = orderStates.flatMap((orderStatus) =>
  authorizationStates.map((authorizationStatus) => ({
    orderStatus,
    authorizationStatus,
    pendingAuthorizations: orderStatus === "pending" ? 1 : 0,
  })),
);

const arrowsOf = (
  table: Readonly<Record<string, { readonly from: readonly string[]; readonly to: string }>>,
): string[] =>
  [...new Set(Object.values(table).flatMap(({ from, to }) => from.map((state) => `${state} → ${to}`)))].sort();

t.test("R7.1.6-1 over all statements and states, what moves is exactly the arrows of the tables", async (t) => {
  const orderMoves = new Map<string, Set<string>>();
  const authorizationMoves = new Map<string, Set<string>>();
  const note = (moves: Map<string, Set<string>>, arrow: string, change: string): unknown =>
    moves.set(arrow, (moves.get(arrow) ?? new Set()).add(change));
  for (const change of Object.keys(changes)) {
    const outcomes = await Promise.all(cases.map((one) => moved(one, change)));
    for (const [n, one] of cases.entries()) {
      const after = outcomes[n];
      if (after === undefined) throw new Error("every case has an outcome");
      if (after.order !== one.orderStatus) note(orderMoves, `${one.orderStatus} → ${after.order}`, change);
      if (after.authorization !== one.authorizationStatus)
        note(authorizationMoves, `${one.authorizationStatus} → ${after.authorization}`, change);
    }
  }
  t.same([...orderMoves.keys()].sort(), arrowsOf(orderTransitions), "orders");
  t.same([...authorizationMoves.keys()].sort(), arrowsOf(authorizationTransitions), "authorizations");
  const by = (moves: Map<string, Set<string>>): Record<string, string[]> =>
    Object.fromEntries([...moves].map(([arrow, names]) => [arrow, [...names].sort()]));
  t.same(
    by(orderMoves),
    {
      "pending → ready": ["attested", "validated"],
      "ready → processing": ["intend"],
      "processing → valid": ["record"],
      "processing → invalid": ["abandon"],
      "pending → invalid": ["deactivateAccount", "deactivateAuthorization", "failed", "replace"],
      "ready → invalid": ["deactivateAccount", "deactivateAuthorization", "failed", "replace"],
    },
    "and each arrow has its statements",
  );
  t.same(by(authorizationMoves), {
    "pending → valid": ["attested", "validated"],
    "pending → invalid": ["failed"],
    "pending → deactivated": ["deactivateAccount", "deactivateAuthorization"],
    "valid → deactivated": ["deactivateAccount", "deactivateAuthorization"],
  });
});

const first: Case = { orderStatus: "pending", authorizationStatus: "pending", pendingAuthorizations: 1 };
const ready: Case = { orderStatus: "ready", authorizationStatus: "valid", pendingAuthorizations: 0 };
const unmoved = ({ orderStatus, authorizationStatus }: Case) => ({
  order: orderStatus,
  authorization: authorizationStatus,
});

t.test("an order with two open authorizations takes two steps to ready", async (t) => {
  for (const change of ["validated", "attested"])
    t.same(
      await moved({ ...first, pendingAuthorizations: 2 }, change),
      { order: "pending", authorization: "valid" },
      change,
    );
});

t.test("R7.3.6-1 nothing goes forward for an account that is not valid", async (t) => {
  for (const status of ["deactivated", "revoked"]) {
    const end = ({ signer }: MadeOrder) =>
      query(db, "update account set status = $2 where id = $1", [signer.id, status]);
    for (const change of ["beginValidation", "validated", "attested", "deactivateAuthorization", "deactivateAccount"])
      t.same(await moved(first, change, end), unmoved(first), `${change}: ${status}`);
    t.same(await moved(ready, "intend", end), unmoved(ready), `intend: ${status}`);
  }
});

t.test("R7.4-10 nothing goes forward after its time", async (t) => {
  const past = "expires_at = now() - interval '1 second'";
  const authorizationEnded = ({ id }: NewOrder) =>
    query(db, `update acme_authorization set ${past} where order_id = $1`, [id]);
  const orderEnded = ({ id }: NewOrder) => query(db, `update acme_order set ${past} where id = $1`, [id]);
  for (const change of ["validated", "attested"])
    t.same(await moved(first, change, authorizationEnded), unmoved(first), change);
  t.same(await moved(ready, "intend", authorizationEnded), unmoved(ready), "an expired authorization");
  t.same(await moved(ready, "intend", orderEnded), unmoved(ready), "an expired order");
});

t.test("H-01a what names an account moves nothing of another's", async (t) => {
  const other = await makeAccount(db);
  for (const [change, one] of [
    ["beginValidation", first],
    ["attested", first],
    ["deactivateAuthorization", first],
    ["intend", ready],
  ] as const) {
    const order = { ...orderFor(), signer: await makeAccount(db) };
    await orders.createOrder(order.signer, order);
    const [{ id } = { id: "" }] = order.authorizations;
    await query(db, "update acme_order set status = $2 where id = $1", [order.id, one.orderStatus]);
    await query(db, "update acme_authorization set status = $2 where id = $1", [id, one.authorizationStatus]);
    await changes[change]?.({ ...order, signer: other }, id);
    const [row] = await query<object>(
      db,
      "select o.status as o, z.status as z, z.validating_since from acme_order o, acme_authorization z where o.id = $1 and z.id = $2",
      [order.id, id],
    );
    t.same(row, { o: one.orderStatus, z: one.authorizationStatus, validating_since: null }, change);
  }
});
