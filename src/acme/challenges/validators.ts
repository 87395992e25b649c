/** The validators by challenge type. */
import { dns01 } from "./dns01.ts";
import { http01 } from "./http01.ts";
import { tlsAlpn01 } from "./tlsAlpn01.ts";
import type { Validator } from "./validation.ts";

export type ValidationType = "http-01" | "dns-01" | "tls-alpn-01";

export const validators: Readonly<Record<ValidationType, Validator>> = {
  "http-01": http01,
  "dns-01": dns01,
  "tls-alpn-01": tlsAlpn01,
};
