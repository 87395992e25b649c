/** From what is recorded to a signed OCSP response, for one that is kept and one with a nonce alike. */
import { assembleOcspResponse } from "../../x509/ocspResponse.ts";
import type { MadeResponse } from "../ocspPorts.ts";
import { lintResponse } from "./lintResponse.ts";
import { prepareResponse, type Statement } from "./prepareResponse.ts";

/**
 * Prepares, lints and signs. Another response is due at half of its time: what stops us from signing may last as long as that before anybody
 * notices.
 * @throws {KeyUnavailable} · {BadSignature} · {LintFailed}
 */
export async function signResponse(statement: Statement, now: Date, lifetimeSeconds: number): Promise<MadeResponse> {
  const linted = lintResponse(prepareResponse(statement, now, lifetimeSeconds));
  const { issuer, serial, hash, notAfter, revocation, thisUpdate, nextUpdate, tbs } = linted;
  const der = assembleOcspResponse(tbs, issuer.key.algorithm, await issuer.key.sign(linted));
  const refreshAt = new Date(Math.floor((thisUpdate.getTime() + nextUpdate.getTime()) / 2000) * 1000);
  return {
    serial,
    hash,
    issuerId: issuer.id,
    notAfter,
    revoked: revocation !== null,
    der,
    thisUpdate,
    nextUpdate,
    refreshAt,
  };
}
