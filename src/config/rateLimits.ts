/** The section `acme.rateLimits`: 0 switches a limit off. */
import { Type } from "typebox";
import { integer, section } from "./sections.ts";

const most = 1_000_000;
const burst = (what: string, normal: number) => integer(`${what} at once.`, 1, most, normal);

/** Rates hold in one process, and have a burst beside them; what is counted in the database holds for all processes together. */
export const rateLimitsSection = section({
  helpUrl: Type.Optional(
    Type.String({
      pattern: "^https?://",
      description: "Where people read about the limits. Default: a page of our own.",
    }),
  ),
  bucketsMax: integer("Buckets of each rate that are kept in memory.", 100, 10_000_000, 100_000),
  requestsPerAddressPerSecond: integer("ACME requests from one source address, per second.", 0, most, 0),
  requestsPerAddressBurst: burst("ACME requests from one source address", 5_000),
  newAccountsPerAddressPerMinute: integer("Accounts made from one source address, per minute.", 0, most, 60_000),
  newAccountsPerAddressBurst: burst("Accounts made from one source address", 30_000),
  ordersPerAccountPerMinute: integer("Orders and pre-authorizations of one account, per minute.", 0, most, 30_000),
  ordersPerAccountBurst: burst("Orders and pre-authorizations of one account", 5_000),
  certificatesPerIdentityPerMinute: integer("Certificates for one identity, per minute.", 0, most, 30_000),
  certificatesPerIdentityBurst: burst("Certificates for one identity", 5_000),
  failedValidationsPerIdentifierPerHour: integer(
    "Failed validations of one account and identifier, per hour.",
    0,
    most,
    100,
  ),
  failedValidationsPerIdentifierBurst: burst("Failed validations of one account and identifier", 100),
  pendingOrdersPerAccount: integer("Orders of one account that wait for authorizations.", 0, 100_000, 10_000),
  pauseAfterFailures: integer("Failed validations in a row that pause an account's identifier.", 0, most, 300),
  // A quarter of the lookups that outbound/resolver.ts makes at once: one account's silent names leave room for others.
  validationsPerAccount: integer("Validations and CAA checks of one account under way at once.", 1, 10_000, 16),
  finalizesUnderWay: integer("Finalize requests under way at once; one more gets 503.", 1, 100_000, 1_000),
});
