/** The challenges dns-01 (RFC 8555 §8.4) and dns-account-01 (draft-ietf-acme-dns-account-label-03): a digest in a TXT record. */
import { createHash } from "node:crypto";
import { quoted } from "../../outbound/failure.ts";
import { attempt, sameBytes, type Validation, ValidationFailure, type Validator } from "./validation.ts";

/** Any one TXT record at `_acme-challenge.<name>` must be the base64url SHA-256 of the key authorization. */
export const dns01: Validator = digestAt("dns-01", ({ identifier }) => `_acme-challenge.${identifier.value}`);

/** The same at a name of the account's own, so that several accounts can prove one name at the same time. */
export const dnsAccount01: Validator = digestAt(
  "dns-account-01",
  ({ identifier, account }) => `${accountLabel(account.url)}._acme-challenge.${identifier.value}`,
);

function digestAt(type: string, nameOf: (validation: Validation) => string): Validator {
  return (validation, outbound, signal) =>
    attempt(outbound.timeoutMs, signal, async (lifetime) => {
      // RFC 8738 §7: nothing in the DNS proves an IP address.
      if (validation.identifier.type !== "dns")
        throw new ValidationFailure("rejectedIdentifier", `${type} is only for DNS names`);
      const name = nameOf(validation);
      const expected = createHash("sha256").update(validation.keyAuthorization).digest("base64url");

      const records = await outbound.txt(name, lifetime);
      if (records.some((record) => sameBytes(Buffer.from(record), Buffer.from(expected)))) return;
      const [first] = records;
      if (first === undefined) throw new ValidationFailure("unauthorized", `there is no TXT record at ${name}`);
      const others = records.length > 1 ? ` (and ${records.length - 1} more)` : "";
      throw new ValidationFailure(
        "unauthorized",
        `the TXT record at ${quoted(name)} is ${quoted(first)}${others}, not the expected one`,
      );
    });
}

const base32 = "abcdefghijklmnopqrstuvwxyz234567";

/** "_" and the base32 (RFC 4648 §6, lower-case) of the first ten octets of the account URL's SHA-256: 16 characters. */
export function accountLabel(accountUrl: string): string {
  const octets = createHash("sha256").update(accountUrl).digest().subarray(0, 10);
  const bits = [...octets].map((octet) => octet.toString(2).padStart(8, "0")).join("");
  const characters = (bits.match(/.{5}/g) ?? []).map((five) => base32[Number.parseInt(five, 2)]);
  return `_${characters.join("")}`;
}
