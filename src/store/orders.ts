/** Orders and authorizations (RFC 8555 §7.1.3, §7.1.4) in Postgres: implements `OrderStore` of the ACME room. */
import { randomInt } from "node:crypto";

import type {
  AttestationRecord,
  Authorization,
  Challenge,
  Identifier,
  NewOrder,
  Order,
  OrderStore,
  Owned,
  Replaces,
  Signer,
  WantedAuthorization,
} from "../acme/ports.ts";
import type { AuthorizationStatus, OrderStatus } from "../acme/state.ts";
import type { ProblemDocument } from "../problem/problem.ts";
import { violatedConstraint, type Database } from "./database.ts";
import { isKeyBlocked } from "./blockedKeys.ts";
import * as limitSql from "./orderLimits.ts";
import type { OrderLimits } from "./orderLimits.ts";
import * as sql from "./orderStatements.ts";
import { pinConstraint, pinValues, usedValues } from "./instancePins.ts";
import { isIdentityQuarantined } from "./quarantines.ts";
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

/** Places that are looked at before it is asked whether there are any. */
const placesTried = 8;
/** Statements that may lose a place to another one at the same time before it is our fault. */
const placeAttempts = 20;

const unlimited: OrderLimits = { pendingOrdersPerAccount: 0, pauseAfterFailures: 0 };

export function createOrderStore(db: Database, limits: OrderLimits = unlimited): OrderStore {
  type MadeRow = Pick<OrderRow, "status" | "authorization_ids" | "expires_at">;
  async function insertOrder(signer: Signer, order: NewOrder, tries: number): Promise<MadeRow | undefined> {
    const limit = limits.pendingOrdersPerAccount;
    for (let attempt = 1; ; attempt++) {
      const place = [limit, limit > 0 ? randomInt(limit) : 0, Math.min(limit, tries)];
      const admission = [order.accountSpkiSha256, ...place, order.termsOfService ?? null, order.identityName];
      try {
        return await insert(signer, order, admission);
      } catch (error) {
        // Another order took the same place at the same time: this one has made nothing, and looks for another.
        if (violatedConstraint(error) !== limitSql.placeConstraint || attempt === placeAttempts) throw error;
      }
    }
  }
  async function insert(signer: Signer, order: NewOrder, admission: unknown[]): Promise<MadeRow | undefined> {
    const values = insertValues(signer, order);
    if (order.replaces === null && !order.reuse) {
      const ids = order.authorizationOf.map((index) => order.authorizations[index]?.id);
      const [plain] = await db.run<MadeRow>(sql.insertPlainOrder, [...values, ids, ...admission]);
      if (plain !== undefined) return plain;
    }
    const whole = [...values, ...instead(order), ...admission];
    const [row] =
      order.replaces === null
        ? await db.run<MadeRow>(sql.insertOrder, whole)
        : await db.run<MadeRow>(sql.insertReplacingOrder, [...whole, ...replacedBy(order, order.replaces)]);
    return row;
  }
  async function pendingOrders(accountId: string, most: number): Promise<number> {
    const [row] = await db.run<{ pending: number }>(limitSql.pendingOrders, [accountId, most]);
    return row?.pending ?? 0;
  }
  const authorizationFrom = (rows: AuthorizationRow[]): Authorization | undefined =>
    rows[0] && authorizationOf(rows[0]);
  return {
    async createOrder(signer, order) {
      const limit = limits.pendingOrdersPerAccount;
      let row = await insertOrder(signer, order, placesTried);
      // Few places are left, or none, or there is another reason: only where one is left are all of them worth a look.
      if (row === undefined && limit > placesTried && (await pendingOrders(signer.id, limit)) < limit) {
        row = await insertOrder(signer, order, limit);
      }
      return row && { status: row.status, authorizationIds: row.authorization_ids, expiresAt: row.expires_at };
    },
    async whyNoOrder(signer, { authorizations, accountSpkiSha256, identityName }) {
      if (await isKeyBlocked(db, accountSpkiSha256)) return { reason: "blockedKey" };
      if (await isIdentityQuarantined(db, identityName)) return { reason: "quarantined" };
      const identifiers = authorizations.map(({ identifier }) => identifier);
      const names = [identifiers.map(({ type }) => type), identifiers.map(({ value }) => value)];
      const paused = await db.run<Identifier>(limitSql.pausedAmong, [signer.id, ...names]);
      if (paused.length > 0) return { reason: "paused", identifiers: paused };
      const limit = limits.pendingOrdersPerAccount;
      if (limit > 0 && (await pendingOrders(signer.id, limit)) >= limit) return { reason: "tooManyPending", limit };
      return undefined;
    },
    async createAuthorization(signer, { id, identifier, subdomains, expiresAt, challenges }, terms) {
      const values = [
        id,
        identifier.type,
        identifier.value,
        subdomains,
        terms.profile,
        expiresAt,
        JSON.stringify(challenges),
        terms.termsOfService ?? null,
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
    async readForFinalize(signer, orderId, { thumbprint, spkiSha256, accountSpkiSha256 }) {
      type Row = OrderRow & {
        authorizations: AuthorizationRow[];
        key_is_account_key: boolean;
        key_is_blocked: boolean;
        account_key_is_blocked: boolean;
      };
      const rows = await db.run<WithSigner<Row>>(sql.readForFinalize, [
        ...signerValues(signer),
        orderId,
        thumbprint ?? null,
        spkiSha256 ?? null,
        accountSpkiSha256,
      ]);
      return owned(rows, (row) => ({
        order: orderOf(row),
        authorizations: row.authorizations.map(authorizationOf),
        keyIsAccountKey: row.key_is_account_key,
        keyIsBlocked: row.key_is_blocked,
        accountKeyIsBlocked: row.account_key_is_blocked,
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
    async activationOffered(signer, authorizationId, challenge) {
      const values = [...signerValues(signer), authorizationId, challenge.type, JSON.stringify(challenge)];
      return (await db.run(sql.activationOffered, values)).length === 1;
    },
    async retrying(authorizationId, challenge) {
      const values = [authorizationId, challenge.type, JSON.stringify(challenge)];
      return (await db.run(sql.retrying, values)).length === 1;
    },
    async keepValidations(authorizationIds) {
      await db.run(sql.keepValidations, [authorizationIds]);
    },
    async validated(authorizationId, challenge, expiresAt) {
      const values = [authorizationId, challenge.type, JSON.stringify(challenge), expiresAt];
      return (await db.run(sql.validated, values)).length === 1;
    },
    async failed({ id, orderId }, challenge) {
      const values = [
        id,
        challenge.type,
        JSON.stringify(challenge),
        JSON.stringify(challenge.error ?? null),
        limits.pauseAfterFailures,
        orderId,
      ];
      type Row = Pick<AuthorizationRow, "account_id" | "identifier_type" | "identifier_value">;
      const [row] = await db.run<Row>(sql.failed, values);
      return (
        row && { accountId: row.account_id, identifier: { type: row.identifier_type, value: row.identifier_value } }
      );
    },
    async attested({ signer, authorizationId, orderId, challenge, expiresAt, attestation, storedGrant, ...uses }) {
      try {
        const rows = await db.run(sql.attested, [
          ...signerValues(signer),
          authorizationId,
          orderId,
          challenge.type,
          JSON.stringify(challenge),
          expiresAt,
          JSON.stringify(attestation),
          ...usedValues(uses),
          ...pinValues(uses),
          storedGrant?.name ?? null,
          storedGrant?.version ?? null,
        ]);
        return rows.length === 1 ? "attested" : "notPending";
      } catch (error) {
        const violated = violatedConstraint(error);
        if (violated === "evidence_use_pkey") return "replayed";
        if (violated === pinConstraint) return "pinned";
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

/** The further parameters of an order that replaces a certificate. */
function replacedBy({ identifiers }: NewOrder, { serial, id, issuerIds }: Replaces): unknown[] {
  const of = (type: Identifier["type"]): string[] =>
    identifiers.filter((one) => one.type === type).map(({ value }) => value);
  return [serial, id, issuerIds, of("dns"), of("ip"), of("uri"), of("permanent-identifier")];
}

/** The parameters that all statements that make an order begin with. */
function insertValues(signer: Signer, order: NewOrder): unknown[] {
  const { authorizations } = order;
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
  ];
}

/** The parameters that say what may be taken up. */
function instead(order: NewOrder): unknown[] {
  const usable = order.authorizations.flatMap(alternatives);
  return [
    usable.map(({ n }) => n),
    usable.map(({ value }) => value),
    usable.map(({ subdomains }) => subdomains),
    order.authorizationOf.map((index) => index + 1), // ordinality counts from 1
    order.reuse,
  ];
}

/** Whose authorization would do for the nth wanted one: the same, or one of an ancestor that stands for names below it. */
function alternatives({ identifier, subdomains, ancestors, fresh = false }: WantedAuthorization, index: number) {
  if (fresh) return [];
  const n = index + 1;
  return [
    { n, value: identifier.value, subdomains },
    // One that covers names below it covers its own name as well (RFC 9444 §4).
    ...(subdomains ? [] : ancestors.map((value) => ({ n, value, subdomains: true }))),
  ];
}
