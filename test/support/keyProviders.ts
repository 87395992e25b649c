/** The two places where an issuing key may be, as ways to start a server without a configuration. */
import type { Test } from "tap";
import { serverProcess, type ServerProcess } from "./serverProcess.ts";
import { softhsmToken } from "./softhsm.ts";

export interface KeyProviderCase {
  readonly name: string;
  /** How the server's banner names the place. */
  readonly told: RegExp;
  /** Starts a server whose first start makes its keys there. */
  readonly start: (t: Test) => Promise<ServerProcess>;
}

export const eachKeyProvider: readonly KeyProviderCase[] = [
  { name: "development keys", told: /signing keys +development key files/, start: (t) => serverProcess(t) },
  {
    name: "the issuing key in a SoftHSM2 token",
    told: /signing keys +PKCS#11 token mayfly \(SoftHSM v2\)/,
    async start(t) {
      const { module, token, pinFile, env } = softhsmToken(t);
      return serverProcess(t, {
        ...env,
        MAYFLY_PKCS11_MODULE: module,
        MAYFLY_PKCS11_TOKEN: token,
        MAYFLY_PKCS11_PIN_FILE: pinFile,
      });
    },
  },
];
