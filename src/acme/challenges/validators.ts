/** The validators by challenge type. */
import { dns01, dnsAccount01 } from "./dns01.ts";
import { dnsPersist01 } from "./dnsPersist01.ts";
import { http01 } from "./http01.ts";
import type { NameChallenge } from "./offered.ts";
import { tlsAlpn01 } from "./tlsAlpn01.ts";
import type { CaaCheck } from "./caa.ts";
import {
  attempt,
  type Validation,
  type ValidationGround,
  type ValidationOutcome,
  type Validator,
} from "./validation.ts";

export type ValidationType = NameChallenge;

export const validators: Readonly<Record<ValidationType, Validator>> = {
  "http-01": http01,
  "dns-01": dns01,
  "tls-alpn-01": tlsAlpn01,
  "dns-account-01": dnsAccount01,
  "dns-persist-01": dnsPersist01,
};

/** One attempt at a challenge, and at the CAA records of a DNS name where these are looked at. Rejects as a `Validator` does. */
export function createValidate(ground: ValidationGround, caa: CaaCheck | undefined) {
  return async (type: ValidationType, validation: Validation, signal: AbortSignal): Promise<ValidationOutcome> => {
    const outcome = await validators[type](validation, ground, signal);
    const { identifier, wildcard, account } = validation;
    if (!outcome.ok || caa === undefined || identifier.type !== "dns") return outcome;
    const question = { name: identifier.value, wildcard, accountUrl: account.url, method: type };
    const permitted = await attempt(
      ground.timeoutMs,
      signal,
      async (lifetime) => {
        const failure = await caa.asker(lifetime)(question);
        if (failure !== undefined) throw failure;
      },
      "dns",
    );
    return permitted.ok ? { ...outcome, caaChecked: true } : permitted;
  };
}
