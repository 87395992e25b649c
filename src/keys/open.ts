/**
 * From configuration to keys.
 */
import { openDevelopmentKeys, type DevelopmentKeysOptions } from "./developmentKeys.ts";
import type { Pkcs11Options } from "./pkcs11.ts";
import { withPostQuantumKeys } from "./postQuantumKeys.ts";
import type { KeyProvider } from "./signer.ts";

/** Where the keys are, as configured. */
export type KeysConfiguration =
  | ({ readonly provider: "development" } & DevelopmentKeysOptions)
  | ({
      readonly provider: "pkcs11";
      /** Key files for ML-DSA where the token lacks it. Not given: there are no such keys outside of the token. */
      readonly postQuantum?: DevelopmentKeysOptions;
    } & Pkcs11Options);

/**
 * Opens the configured keys.
 * @throws {Error} as `openDevelopmentKeys` and `openPkcs11` say
 */
export async function openKeys(configuration: KeysConfiguration): Promise<KeyProvider> {
  if (configuration.provider === "development") return openDevelopmentKeys(configuration);
  // A machine without a compiler has no pkcs11js: the code that wants it is loaded only when a token is asked for.
  const { openPkcs11 } = await import("./pkcs11.ts");
  const { postQuantum, ...options } = configuration;
  const token = await openPkcs11(options);
  if (postQuantum === undefined) return token;
  try {
    return withPostQuantumKeys(token, await openDevelopmentKeys(postQuantum), postQuantum.directory);
  } catch (error) {
    await token.close();
    throw error;
  }
}
