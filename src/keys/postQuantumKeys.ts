/**
 * ML-DSA keys beside a token: in the token where it makes them (PKCS#11 v3.2), in key files where it does not. Asked for by configuration
 * only, since no hardware protects such a file.
 */
import { isKeyFileLabel } from "./developmentKeys.ts";
import { isPostQuantum } from "./keyAlgorithms.ts";
import { KeyKindUnsupported, type KeyProvider, type Signer, type WantedKey } from "./signer.ts";

/**
 * The token's keys and, of ML-DSA, those of the key files. A label names one key in both together.
 * @param directory - of the key files, for people
 */
export function withPostQuantumKeys(token: KeyProvider, software: KeyProvider, directory: string): KeyProvider {
  /** The token allows labels that no file can have. */
  async function findInFiles(wanted: WantedKey): Promise<Signer | undefined> {
    const { label, spki } = wanted;
    return spki === undefined && !isKeyFileLabel(label ?? "") ? undefined : software.find(wanted);
  }

  return {
    description: `${token.description}; ML-DSA in key files in ${directory} where the token has none`,
    development: token.development,
    unprotected: `ML-DSA keys in ${directory}`,
    tokens: () => token.tokens?.() ?? [],

    async generate(label, kind) {
      if (await findInFiles({ label })) throw new Error(`the label "${label}" is taken by a key file in ${directory}`);
      if (!isPostQuantum(kind)) return token.generate(label, kind);
      try {
        return await token.generate(label, kind);
      } catch (error) {
        if (!(error instanceof KeyKindUnsupported)) throw error;
        return await software.generate(label, kind);
      }
    },

    async find(wanted) {
      const inToken = await token.find(wanted);
      if (wanted.algorithm !== undefined && !isPostQuantum(wanted.algorithm)) return inToken;
      if (inToken !== undefined && wanted.spki !== undefined) return inToken;
      const inFile = await findInFiles(wanted);
      if (inToken === undefined || inFile === undefined) return inToken ?? inFile;
      throw new Error(`the label "${wanted.label}" names a key in the token and one in ${directory}; rename one`);
    },

    async close() {
      await Promise.all([token.close(), software.close()]);
    },
  };
}
