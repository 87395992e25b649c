/** Orders and authorizations (RFC 8555 §7.1.3, §7.1.4) in Postgres: implements `OrderStore` of the ACME room. */
import type {
  AttestationRecord,
  Authorization,
  Challenge,
  Identifier,
  NewOrder,
  Order,
  OrderStore,
  Owned,
  Signer,
  WantedAuthorization,
} from "../acme/ports.ts";
import type { AuthorizationStatus, OrderStatus } from "../acme/state.ts";
import type { ProblemDocument } from "../problem/problem.ts";
import { sqlState, type Database } from "./database.ts";
import * as sql from "./orderStatements.ts";
import { signerValues, type WithSigner } from "./signer.ts";

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
  replaces_id: string | null;
}

interface AuthorizationRow {
  id: string;
  account_id: string;
  order_id: string | null;
  identifier_type: Identifier["type"];
  identifier_value: string;
  wildcard: boolean;
  subdomains: boolean;
  profile: string;
  status: AuthorizationStatus;
  expires_at: Date | string;
  challenges: Challenge[];
  attestation: AttestationRecord | null;
}

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
  replaces: row.replaces_id,
});

const authorizationOf = (row: AuthorizationRow): Authorization => ({
  id: row.id,
  orderId: row.order_id,
  profile: row.profile,
  identifier: { type: row.identifier_type, value: row.identifier_value },
  wildcard: row.wildcard,
  subdomains: row.subdomains,
  status: row.status,
  expiresAt: new Date(row.expires_at),
  challenges: row.challenges,
  attestation: row.attestation,
});

/** Reads join the object to its account from the account's side: one row with nulls where the object is not the account's. */
function owned<Row extends { id: string | null }, T>(
  rows: WithSigner<Row>[],
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
    async createOrder(signer, order) {
      const values = insertValues(signer, order);
      const { replaces, identifiers } = order;
      const of = (type: Identifier["type"]): string[] =>
        identifiers.filter((one) => one.type === type).map(({ value }) => value);
      type Row = Pick<OrderRow, "status" | "authorization_ids" | "expires_at">;
      const [row] =
        replaces === null
          ? await db.run<Row>(sql.insertOrder, values)
          : await db.run<Row>(sql.insertReplacingOrder, [
              ...values,
              replaces.serial,
              replaces.id,
              replaces.issuerIds,
              of("dns"),
              of("ip"),
              of("uri"),
            ]);
      return row && { status: row.status, authorizationIds: row.authorization_ids, expiresAt: row.expires_at };
    },
    async createAuthorization(signer, { id, identifier, subdomains, expiresAt, challenges }, profile) {
      const values = [
        id,
        identifier.type,
        identifier.value,
        subdomains,
        profile,
        expiresAt,
        JSON.stringify(challenges),
      ];
      return (await db.run(sql.insertAuthorization, [...signerValues(signer), ...values])).length === 1;
    },
    readOrder: async (signer, orderId) =>
      owned(await db.run<WithSigner<OrderRow>>(sql.readOrder, [...signerValues(signer), orderId]), orderOf),
    async listOrders(signer, after, limit) {
      const rows = await db.run<WithSigner<{ ids: string[] }>>(sql.listOrders, [
        ...signerValues(signer),
        after ?? null,
        limit,
      ]);
      return { status: rows[0]?.account_status, object: rows[0]?.ids };
    },
    async readForFinalize(signer, orderId, keyThumbprint) {
      type Row = OrderRow & { authorizations: AuthorizationRow[]; key_is_account_key: boolean };
      const rows = await db.run<WithSigner<Row>>(sql.readForFinalize, [
        ...signerValues(signer),
        orderId,
        keyThumbprint ?? null,
      ]);
      return owned(rows, (row) => ({
        order: orderOf(row),
        authorizations: row.authorizations.map(authorizationOf),
        keyIsAccountKey: row.key_is_account_key,
      }));
    },
    readAuthorization: async (signer, authorizationId) =>
      owned(
        await db.run<WithSigner<AuthorizationRow>>(sql.readAuthorization, [...signerValues(signer), authorizationId]),
        authorizationOf,
      ),
    deactivateAuthorization: async (signer, authorizationId) =>
      authorizationFrom(
        await db.run<AuthorizationRow>(sql.deactivateAuthorization, [...signerValues(signer), authorizationId]),
      ),
    beginValidation: async (signer, authorizationId, challenge) =>
      authorizationFrom(
        await db.run<AuthorizationRow>(sql.beginValidation, [
          ...signerValues(signer),
          authorizationId,
          challenge.type,
          JSON.stringify(challenge),
        ]),
      ),
    async retrying(authorizationId, challenge) {
      const values = [authorizationId, challenge.type, JSON.stringify(challenge)];
      return (await db.run(sql.retrying, values)).length === 1;
    },
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
    async attested({ signer, authorizationId, orderId, challenge, expiresAt, attestation, evidence }) {
      // In one order whoever asks, so that two requests with the same pieces wait for each other instead of locking each other out.
      const pieces = [...evidence].sort((a, b) => a.oneTimeId.compare(b.oneTimeId));
      try {
        const rows = await db.run(sql.attested, [
          ...signerValues(signer),
          authorizationId,
          orderId,
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
      type Row = AuthorizationRow & { directory: string; jwk_thumbprint: Buffer };
      const rows = await db.run<Row>(sql.reclaimValidations, [before, limit]);
      return rows.map((row) => ({
        signer: { id: row.account_id, directory: row.directory, thumbprint: row.jwk_thumbprint },
        authorization: authorizationOf(row),
      }));
    },
  };
}

/** The parameters of both statements that make an order. */
function insertValues(signer: Signer, order: NewOrder): unknown[] {
  const { authorizations } = order;
  const instead = authorizations.flatMap(alternatives);
  return [
    order.id,
    ...signerValues(signer),
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
    authorizations.map(({ subdomains }) => subdomains),
    authorizations.map(({ expiresAt }) => expiresAt),
    authorizations.map(({ challenges }) => JSON.stringify(challenges)),
    instead.map(({ n }) => n),
    instead.map(({ value }) => value),
    instead.map(({ subdomains }) => subdomains),
    order.authorizationOf.map((index) => index + 1), // ordinality counts from 1
    order.reuse,
  ];
}

/** Whose authorization would do for the nth wanted one: the same, or one of an ancestor that stands for names below it. */
function alternatives({ identifier, subdomains, ancestors }: WantedAuthorization, index: number) {
  const n = index + 1;
  return [
    { n, value: identifier.value, subdomains },
    // One that covers names below it covers its own name as well (RFC 9444 §4).
    ...(subdomains ? [] : ancestors.map((value) => ({ n, value, subdomains: true }))),
  ];
}
