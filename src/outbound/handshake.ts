/** TLS over a connection that was made here. */
import type { Socket } from "node:net";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { OutboundFailure } from "./failure.ts";
import { connectionFailure } from "./outbound.ts";

export interface HandshakeOptions {
  /** For SNI; "" sends none. */
  readonly servername: string;
  /** ALPN. */
  readonly protocol: string;
  /** Verify the certificate for `host`, by these PEM certificates or Node's own. */
  readonly verify?: { readonly trust?: string | undefined } | undefined;
  /** Name or address that a verified certificate must be for. */
  readonly host?: string;
}

/**
 * A TLS handshake over `socket`. Without `verify` the certificate is not verified: the validators look at it, or rightly do not care.
 * @throws {OutboundFailure} `tls`, or `connection` when the connection broke
 */
export async function handshake(
  socket: Socket,
  { servername, protocol, verify, host }: HandshakeOptions,
): Promise<TLSSocket> {
  const { promise, resolve, reject } = Promise.withResolvers<TLSSocket>();
  const secured = connectTls({
    socket,
    servername,
    ALPNProtocols: [protocol],
    minVersion: "TLSv1.2",
    // Finite-field Diffie-Hellman lets the target choose a modulus so large that the handshake holds up the whole process.
    ciphers: "DEFAULT:!kDHE",
    ...(verify === undefined
      ? { rejectUnauthorized: false, checkServerIdentity: () => undefined }
      : { rejectUnauthorized: true, host, ...(verify.trust !== undefined && { ca: verify.trust }) }),
  });
  secured.once("secureConnect", () => resolve(secured));
  secured.on("error", reject);
  secured.once("close", () => reject(Object.assign(new Error(), { code: "ECONNRESET" })));
  return promise.catch((error: NodeJS.ErrnoException) => {
    const code = error.code ?? "";
    // OpenSSL's codes, among them the alerts of the other side, are a fixed vocabulary and safe to show.
    if (/^(ERR_SSL_|ERR_TLS_|EPROTO)/.test(code)) throw new OutboundFailure("tls", `the TLS handshake failed: ${code}`);
    // OpenSSL's verdicts on certificates, by their names: also fixed, and with an underscore, which no code of the system has.
    if (verify !== undefined && code.includes("_"))
      throw new OutboundFailure("tls", `the certificate is not trusted: ${code}`);
    throw connectionFailure(error, "the TLS handshake");
  });
}
