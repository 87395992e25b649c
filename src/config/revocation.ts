/** The section `revocation`: where relying parties learn of revocation, and how long what they are told stands. */
import { Type, type Static } from "typebox";

import { ocspKeys } from "./ocsp.ts";
import { integer, section } from "./sections.ts";

export const revocationSection = section({
  publicUrl: Type.Optional(
    Type.String({
      pattern: "^https?://[^/\\s?#@]+/?$",
      maxLength: 300,
      description: "What certificates name for revocation lists and OCSP. Default: externalUrl.",
    }),
  ),
  listen: Type.Optional(
    Type.String({
      pattern: "^(\\[[0-9a-fA-F:.]+\\]|[^:\\[\\]\\s]+):[0-9]{1,5}$",
      description: "host:port of a listener of plain HTTP for /crl, /ocsp and /ca alone. Default: none.",
    }),
  ),
  crlLifetimeSeconds: integer("From thisUpdate to nextUpdate of a revocation list.", 600, 31_536_000, 86_400),
  crlIntervalSeconds: integer("A list that nothing changed in is made anew after this.", 60, 31_536_000, 43_200),
  crlShards: Type.Enum([1, 2, 4, 8, 16, 32, 64, 128, 256], {
    default: 16,
    description: "Lists that the certificates of an issuer are spread over, for issuers that are made from now on.",
  }),
  crlCacheSeconds: integer("How long proxies and clients may keep a list without asking again.", 0, 86_400, 300),
  crlMemoryBytes: integer("Lists that are kept in memory.", 1_048_576, 17_179_869_184, 134_217_728),
  ...ocspKeys,
});

/** The section with what it leaves open filled in. */
export interface Revocation extends Omit<Static<typeof revocationSection>, "listen" | "publicUrl"> {
  /** Without a slash at its end. */
  readonly publicUrl: string;
  readonly listen: { readonly host: string; readonly port: number } | undefined;
}

/**
 * What belongs together in the section.
 * @throws {Error} naming key, value and what was expected
 */
export function readRevocation(
  written: Static<typeof revocationSection>,
  externalUrl: string,
  listen: string,
): Revocation {
  const publicUrl = (written.publicUrl ?? externalUrl).replace(/\/$/, "");
  if (!URL.canParse(publicUrl))
    throw new Error(`revocation.publicUrl: "${publicUrl}": expected an http or https URL of host and port`);
  const { crlLifetimeSeconds: lifetime, crlIntervalSeconds: interval } = written;
  // Whoever fetches the last list before its successor is made must have one when the token was away for a while.
  if (interval * 4 > lifetime * 3)
    throw new Error(
      `revocation.crlIntervalSeconds: ${interval}: expected at most three quarters of crlLifetimeSeconds (${lifetime})`,
    );
  return { ...written, publicUrl, listen: readListen(written.listen, listen) };
}

/** @param other - the listener for everything else */
function readListen(text: string | undefined, other: string): Revocation["listen"] {
  if (text === undefined) return undefined;
  if (text === other) throw new Error(`revocation.listen: "${text}": expected another port than that of listen`);
  const colon = text.lastIndexOf(":");
  const port = Number(text.slice(colon + 1));
  if (port > 65_535) throw new Error(`revocation.listen: "${text}": expected a port up to 65535`);
  return { host: text.slice(0, colon).replace(/^\[|\]$/g, ""), port };
}
