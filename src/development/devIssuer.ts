/**
 * The development evidence source: an OIDC issuer whose private key lies in a file, so that anybody who can read it may be any
 * workload. It exists only where no configuration names real sources, or where it is asked for by name.
 */
import { randomUUID } from "node:crypto";
import { calculateJwkThumbprint, exportJWK, generateKeyPair, importJWK, SignJWT, type JWK } from "jose";
import { createSecretFile, fileErrorCode, readSecretFile } from "../keys/secretFile.ts";

/** What a development token says. */
export interface DevTokenRequest {
  readonly subject: string;
  /** `<audience>` for level `bearer`, `<audience>/<B>` for level `nonce`. */
  readonly audience: string;
  /** The server's external URL + `/dev`. */
  readonly issuer: string;
  /** 300 unless said. */
  readonly lifetimeSeconds?: number | undefined;
  readonly now: Date;
}

export interface DevIssuer {
  /** RFC 7517 JWK with `kid` (RFC 7638), `alg` and `use`, and no private member. */
  readonly publicJwk: Readonly<Record<string, string>>;
  /** A compact JWT, ES256, usable once. */
  mint(request: DevTokenRequest): Promise<string>;
}

const algorithm = "ES256";
const fileBytesMax = 4096;

/**
 * Opens the development issuer's key, a private JWK with mode 0600, and makes it when there is none. Its directory must be there.
 * @throws {Error} when the file is open to others or is not such a key; the message never quotes it
 */
export async function openDevIssuer(file: string): Promise<DevIssuer> {
  const text = (await readKeyFile(file)) ?? (await createKeyFile(file));
  const { publicJwk, key } = await readKey(text, file);
  return {
    publicJwk,
    mint({ subject, audience, issuer, lifetimeSeconds = 300, now }) {
      const iat = Math.floor(now.getTime() / 1000);
      return new SignJWT({ jti: randomUUID() })
        .setProtectedHeader({ alg: algorithm, typ: "JWT", kid: publicJwk.kid })
        .setIssuer(issuer)
        .setSubject(subject)
        .setAudience(audience)
        .setIssuedAt(iat)
        .setExpirationTime(iat + lifetimeSeconds)
        .sign(key);
    },
  };
}

function readKeyFile(file: string): Promise<string | undefined> {
  return readSecretFile(file, "development issuer's key", fileBytesMax);
}

async function createKeyFile(file: string): Promise<string> {
  const { privateKey } = await generateKeyPair(algorithm, { extractable: true });
  const jwk = await exportJWK(privateKey);
  const text = `${JSON.stringify({ ...jwk, kid: await calculateJwkThumbprint(jwk), alg: algorithm, use: "sig" })}\n`;
  try {
    await createSecretFile(file, text);
    return text;
  } catch (error) {
    // Another process was first; its key is the one that counts.
    const theirs = fileErrorCode(error) === "EEXIST" ? await readKeyFile(file) : undefined;
    if (theirs === undefined) throw error;
    return theirs;
  }
}

async function readKey(text: string, file: string) {
  const { kty, crv, x, y, d } = parsePrivateJwk(text);
  const fault = new Error(`${file} is not the P-256 private key (JWK) of the development issuer`);
  if (kty !== "EC" || crv !== "P-256" || typeof x !== "string" || typeof y !== "string" || typeof d !== "string") {
    throw fault;
  }
  const publicKey = { kty, crv, x, y };
  const key = await importJWK({ ...publicKey, d }, algorithm).catch(() => {
    throw fault;
  });
  return { publicJwk: { ...publicKey, kid: await calculateJwkThumbprint(publicKey), alg: algorithm, use: "sig" }, key };
}

/** Nothing when the text is no JSON object: the parser's message would quote the key. */
function parsePrivateJwk(text: string): { readonly [member in keyof JWK]?: unknown } {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? value : {};
  } catch {
    return {};
  }
}
