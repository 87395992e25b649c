/**
 * From configuration to keys.
 */
import { openDevelopmentKeys, type DevelopmentKeysOptions } from "./developmentKeys.ts";
import type { Pkcs11Options } from "./pkcs11.ts";
import { withPostQuantumKeys } from "./postQuantumKeys.ts";
import { openReplicatedKeys } from "./replicatedKeys.ts";
import type { KeyProvider, TokenState } from "./signer.ts";

/** Where the keys are, as configured. */
export type KeysConfiguration =
  | ({ readonly provider: "development" } & DevelopmentKeysOptions)
  | ({
      readonly provider: "pkcs11";
      /** Key files for ML-DSA where the token lacks it. Not given: there are no such keys outside of the token. */
      readonly postQuantum?: DevelopmentKeysOptions;
      /** Further tokens with the same keys; what they leave out is that of the first, but for which token it is. */
      readonly replicas?: readonly ReplicaChoice[];
      /** How often a token that failed is tried again. */
      readonly replicaRetrySeconds?: number;
    } & Pkcs11Options);

type ReplicaChoice = Partial<Pick<Pkcs11Options, "module" | "token" | "slot" | "pinFile" | "libraryParameters">>;

/** Told whenever one of several tokens is set aside, and when it is back. */
export type OnTokenChange = (state: TokenState) => void;

/**
 * Opens the configured keys.
 * @throws {Error} as `openDevelopmentKeys` and `openPkcs11` say
 */
export async function openKeys(
  configuration: KeysConfiguration,
  onTokenChange: OnTokenChange = () => undefined,
): Promise<KeyProvider> {
  if (configuration.provider === "development") return openDevelopmentKeys(configuration);
  const { postQuantum, replicas = [], replicaRetrySeconds = 10, ...options } = configuration;
  const token =
    replicas.length === 0
      ? await openToken(options)
      : await openReplicatedKeys(
          [options, ...replicas.map((choice) => replicaOf(options, choice))].map((each) => ({
            name: each.token ?? `slot ${each.slot}`,
            open: () => openToken(each),
          })),
          { retryMs: replicaRetrySeconds * 1000, onChange: onTokenChange },
        );
  if (postQuantum === undefined) return token;
  try {
    return withPostQuantumKeys(token, await openDevelopmentKeys(postQuantum), postQuantum.directory);
  } catch (error) {
    await token.close();
    throw error;
  }
}

/** A machine without a compiler has no pkcs11js: the code that wants it is loaded only when a token is asked for. */
async function openToken(options: Pkcs11Options): Promise<KeyProvider> {
  const { openPkcs11 } = await import("./pkcs11.ts");
  return openPkcs11(options);
}

function replicaOf(
  first: Pkcs11Options,
  { module, token, slot, pinFile, libraryParameters }: ReplicaChoice,
): Pkcs11Options {
  const own = module === undefined ? {} : { module, libraryParameters };
  return { ...first, ...own, token, slot, ...(pinFile !== undefined && { pinFile }) };
}
