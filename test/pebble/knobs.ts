/** Pebble's knobs, as wrappers around the ports of the ACME room. Nothing here can be reached by a configuration of the server. */
import { randomInt } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import type { AcmePaths } from "../../src/acme/urls.ts";
import type { Replacements } from "../../src/compose.ts";
import type { AcmeReplacements } from "../../src/mountAcme.ts";
import { problem } from "../../src/problem/problem.ts";
import type { Knobs } from "./commandLine.ts";
import type { PebbleConfiguration } from "./configurationFile.ts";

/** Pebble's paths. Where it has none, the words are in its manner. */
export const pebblePaths: AcmePaths = {
  directory: "/dir",
  newNonce: "/nonce-plz",
  newAccount: "/sign-me-up",
  newAuthz: "/authorize-plz",
  newOrder: "/order-plz",
  revokeCert: "/revoke-cert",
  keyChange: "/rollover-account-key",
  renewalInfo: "/draft-ietf-acme-ari-03/renewalInfo",
  account: "/my-account/:account",
  orders: "/list-orderz/:account",
  order: "/my-order/:order",
  finalize: "/finalize-order/:order",
  authorization: "/authZ/:authorization",
  challenge: "/chalZ/:authorization/:type",
  certificate: "/certZ/:serial",
  alternate: "/certZ/:serial/alternate/:chain",
};

/** To the letter what suites look for. */
export const termsOfService = "data:text/plain,Do%20what%20thou%20wilt";

/** True in this many percent of all cases. */
const happens = (percent: number): boolean => randomInt(100) < percent;

/** What is put in place of the server's own parts. */
export function replacementsOf(knobs: Knobs, configuration: PebbleConfiguration): Replacements {
  return {
    acme: acmeReplacements(knobs, configuration),
    async externalAccounts(keys) {
      const usual = { directory: "default", description: null, identifiers: null, profiles: null };
      for (const [id, key] of Object.entries(configuration.externalAccountMacKeys)) {
        const macKey = Buffer.from(key, "base64url");
        await keys.createKey({ ...usual, id, macKey, usesMax: null, expiresAt: null });
      }
      return keys;
    },
  };
}

function acmeReplacements(knobs: Knobs, configuration: PebbleConfiguration): AcmeReplacements {
  const blocked = new Set(configuration.domainBlocklist);
  return {
    paths: pebblePaths,
    prefix: "",
    facts: (facts) => ({ ...facts, termsOfService, caaIdentities: configuration.caaIdentities }),
    nonces: (real) => ({
      ...real,
      async spend(nonce) {
        const good = await real.spend(nonce);
        return good && !happens(knobs.nonceRejectPercent);
      },
    }),
    orders: (real) => ({
      ...real,
      async createOrder(signer, order) {
        for (const { type, value } of order.identifiers) {
          if (!blocked.has(value)) continue;
          const detail = "the name is on the list of blocked ones";
          const subproblem = { code: "rejectedIdentifier", detail, identifier: { type, value } } as const;
          throw problem("rejectedIdentifier", detail, { subproblems: [subproblem] });
        }
        return await real.createOrder(signer, { ...order, reuse: happens(knobs.authorizationReusePercent) });
      },
    }),
    validate: (real) => async (type, validation, signal) => {
      const milliseconds = knobs.validationSleepSeconds * 1000;
      if (milliseconds > 0) await pause(randomInt(milliseconds), undefined, { signal });
      return knobs.alwaysValid ? { ok: true } : await real(type, validation, signal);
    },
  };
}
