/** Pebble's knobs, as wrappers around the ports of the ACME room. Nothing here can be reached by a configuration of the server. */
import { randomInt } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import type { AcmePaths } from "../../src/acme/urls.ts";
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

export function replacementsOf(knobs: Knobs, configuration: PebbleConfiguration): AcmeReplacements {
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
        for (const { value } of order.identifiers)
          if (blocked.has(value))
            throw problem("rejectedIdentifier", `the name ${value} is on the list of blocked ones`);
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
