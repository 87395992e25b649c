/** The challenge dns-01 (RFC 8555 §8.4). */
import { createHash } from "node:crypto";
import { quoted } from "../../outbound/failure.ts";
import { attempt, sameBytes, ValidationFailure, type Validator } from "./validation.ts";

/** Any one TXT record at `_acme-challenge.<name>` must be the base64url SHA-256 of the key authorization. */
export const dns01: Validator = ({ identifier, keyAuthorization }, outbound, signal) =>
  attempt(outbound.timeoutMs, signal, async (lifetime) => {
    // RFC 8738 §7: dns-01 is not for IP identifiers.
    if (identifier.type !== "dns") throw new ValidationFailure("rejectedIdentifier", "dns-01 is only for DNS names");
    const name = `_acme-challenge.${identifier.value}`;
    const expected = createHash("sha256").update(keyAuthorization).digest("base64url");

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
