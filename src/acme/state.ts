/**
 * RFC 8555 §7.1.6: the state machines, as data. The store's statements move exactly along these arrows (each has its `from` in its
 * WHERE clause); nothing else changes a status. `test/acme/state.test.ts` holds the SQL against this table.
 */

export type AccountStatus = "valid" | "deactivated" | "revoked";
export type OrderStatus = "pending" | "ready" | "processing" | "valid" | "invalid";
export type AuthorizationStatus = "pending" | "valid" | "invalid" | "deactivated" | "expired" | "revoked";
export type ChallengeStatus = "pending" | "processing" | "valid" | "invalid";

export const orderTransitions = {
  authorizationsValid: { from: ["pending"], to: "ready" },
  finalizing: { from: ["ready"], to: "processing" },
  issued: { from: ["processing"], to: "valid" },
  failed: { from: ["pending", "ready", "processing"], to: "invalid" },
} as const satisfies Record<string, { from: readonly OrderStatus[]; to: OrderStatus }>;

export const authorizationTransitions = {
  validated: { from: ["pending"], to: "valid" },
  failed: { from: ["pending"], to: "invalid" },
  deactivated: { from: ["pending", "valid"], to: "deactivated" },
} as const satisfies Record<string, { from: readonly AuthorizationStatus[]; to: AuthorizationStatus }>;
