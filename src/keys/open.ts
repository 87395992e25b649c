/**
 * From configuration to keys.
 */
import { openDevelopmentKeys, type DevelopmentKeysOptions } from "./developmentKeys.ts";
import type { Pkcs11Options } from "./pkcs11.ts";
import type { KeyProvider } from "./signer.ts";

/** Where the keys are, as configured. */
export type KeysConfiguration =
  | ({ readonly provider: "development" } & DevelopmentKeysOptions)
  | ({ readonly provider: "pkcs11" } & Pkcs11Options);

/**
 * Opens the configured keys.
 * @throws {Error} as `openDevelopmentKeys` and `openPkcs11` say
 */
export async function openKeys(configuration: KeysConfiguration): Promise<KeyProvider> {
  if (configuration.provider === "development") return openDevelopmentKeys(configuration);
  // A machine without a compiler has no pkcs11js: the code that wants it is loaded only when a token is asked for.
  const { openPkcs11 } = await import("./pkcs11.ts");
  return openPkcs11(configuration);
}
