/** Orders and authorizations (RFC 8555 §7.1.3, §7.1.4) in Postgres: implements `OrderStore` of the ACME room. */
import type {
  AttestationRecord,
  Authorization,
  Challenge,
  Identifier,
  Order,
  OrderStore,
  Owned,
} from "../acme/ports.ts";
import type { AccountStatus, AuthorizationStatus, OrderStatus } from "../acme/state.ts";
import type { ProblemDocument } from "../problem/problem.ts";
import { sqlState, type Database } from "./database.ts";
import * as sql from "./orderStatements.ts";

interface OrderRow {
  id: string;
  status: OrderStatus;
  identifiers: Identifier[];
  authorization_ids: string[];
  profile: string;
  profile_hash: Buffer;
  not_before: Date | null;
  not_after: Date | null;
  expires_at: Date;
  error: ProblemDocument | null;
  certificate_serial: Buffer | null;
}

interface AuthorizationRow {
  id: string;
  account_id: string;
  order_id: string | null;
  identifier_type: Identifier["type"];
  identifier_value: string;
  wildcard: boolean;
  profile: string;
  status: AuthorizationStatus;
  expires_at: Date | string;
  challenges: Challenge[];
  attestation: AttestationRecord | null;
}

type WithAccount<Row> = Row & { account_status: AccountStatus };

const orderOf = (row: OrderRow): Order => ({
  id: row.id,
  status: row.status,
  identifiers: row.identifiers,
  authorizationIds: row.authorization_ids,
  profile: row.profile,
  profileHash: row.profile_hash,
  notBefore: row.not_before,
  notAfter: row.not_after,
  expiresAt: row.expires_at,
  error: row.error,
  certificateSerial: row.certificate_serial,
});

const authorizationOf = (row: AuthorizationRow): Authorization => ({
  id: row.id,
  orderId: row.order_id,
  profile: row.profile,
  identifier: { type: row.identifier_type, value: row.identifier_value },
  wildcard: row.wildcard,
  status: row.status,
  expiresAt: new Date(row.expires_at),
  challenges: row.challenges,
  attestation: row.attestation,
});

/** Reads join the object to its account from the account's side: one row with nulls where the object is not the account's. */
function owned<Row extends { id: string | null }, T>(
  rows: WithAccount<Row>[],
  make: (row: Row & { id: string }) => T,
): Owned<T> {
  const [row] = rows;
  const object = row === undefined || row.id === null ? undefined : make(row as Row & { id: string });
  return { status: row?.account_status, object };
}

export function createOrderStore(db: Database): OrderStore {
  const authorizationFrom = (rows: AuthorizationRow[]): Authorization | undefined =>
    rows[0] && authorizationOf(rows[0]);
  return {
    async createOrder(order) {
      const { authorizations } = order;
      const rows = await db.run(sql.insertOrder, [
        order.id,
        order.accountId,
        JSON.stringify(order.identifiers),
        order.profile,
        order.profileHash,
        order.notBefore,
        order.notAfter,
        order.expiresAt,
        authorizations.map(({ id }) => id),
        authorizations.map(({ identifier }) => identifier.type),
        authorizations.map(({ identifier }) => identifier.value),
        authorizations.map(({ wildcard }) => wildcard),
        authorizations.map(({ expiresAt }) => expiresAt),
        authorizations.map(({ challenges }) => JSON.stringify(challenges)),
      ]);
      return rows.length === 1;
    },
    readOrder: async (accountId, orderId) =>
      owned(await db.run<WithAccount<OrderRow>>(sql.readOrder, [accountId, orderId]), orderOf),
    async listOrders(accountId, after, limit) {
      const rows = await db.run<{ account_status: AccountStatus; ids: string[] }>(sql.listOrders, [
        accountId,
        after ?? null,
        limit,
      ]);
      return { status: rows[0]?.account_status, object: rows[0]?.ids };
    },
    async readForFinalize(accountId, orderId, keyThumbprint) {
      type Row = OrderRow & { authorizations: AuthorizationRow[]; key_is_account_key: boolean };
      const rows = await db.run<WithAccount<Row>>(sql.readForFinalize, [accountId, orderId, keyThumbprint ?? null]);
      return owned(rows, (row) => ({
        order: orderOf(row),
        authorizations: row.authorizations.map(authorizationOf),
        keyIsAccountKey: row.key_is_account_key,
      }));
    },
    readAuthorization: async (accountId, authorizationId) =>
      owned(
        await db.run<WithAccount<AuthorizationRow>>(sql.readAuthorization, [accountId, authorizationId]),
        authorizationOf,
      ),
    deactivateAuthorization: async (accountId, authorizationId) =>
      authorizationFrom(await db.run<AuthorizationRow>(sql.deactivateAuthorization, [accountId, authorizationId])),
    beginValidation: async (accountId, authorizationId, challenge) =>
      authorizationFrom(
        await db.run<AuthorizationRow>(sql.beginValidation, [
          accountId,
          authorizationId,
          challenge.type,
          JSON.stringify(challenge),
        ]),
      ),
    async validated(authorizationId, challenge, expiresAt) {
      const values = [authorizationId, challenge.type, JSON.stringify(challenge), expiresAt];
      return (await db.run(sql.validated, values)).length === 1;
    },
    async failed(authorizationId, challenge) {
      const values = [
        authorizationId,
        challenge.type,
        JSON.stringify(challenge),
        JSON.stringify(challenge.error ?? null),
      ];
      return (await db.run(sql.failed, values)).length === 1;
    },
    async attested({ accountId, authorizationId, challenge, expiresAt, attestation, evidence }) {
      // In one order whoever asks, so that two requests with the same pieces wait for each other instead of locking each other out.
      const pieces = [...evidence].sort((a, b) => a.oneTimeId.compare(b.oneTimeId));
      try {
        const rows = await db.run(sql.attested, [
          accountId,
          authorizationId,
          challenge.type,
          JSON.stringify(challenge),
          expiresAt,
          JSON.stringify(attestation),
          pieces.map(({ oneTimeId }) => oneTimeId),
          pieces.map(({ source }) => source),
          pieces.map(({ replayUntil }) => replayUntil),
        ]);
        return rows.length === 1 ? "attested" : "notPending";
      } catch (error) {
        if (sqlState(error) === "23505") return "replayed";
        throw error;
      }
    },
    async reclaimValidations(before, limit) {
      const rows = await db.run<AuthorizationRow>(sql.reclaimValidations, [before, limit]);
      return rows.map((row) => ({ accountId: row.account_id, authorization: authorizationOf(row) }));
    },
  };
}
