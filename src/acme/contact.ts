/** Contacts of an account (RFC 8555 §7.3): mailto URLs with one address each. */
import { problem } from "../problem/problem.ts";
import type { JsonValue } from "../encoding/json.ts";

/** One address of the plain kind: no quoting, no comments, ASCII only. */
const address = /^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})*$/;

/**
 * Reads the `contact` member; absent means none.
 * @throws {Problem} malformed · unsupportedContact · invalidContact
 */
export function readContact(value: JsonValue | undefined, limit: number): readonly string[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw problem("malformed", "contact is not a list");
  if (value.length > limit) throw problem("invalidContact", `an account may have at most ${limit} contacts`);
  return value.map((contact) => {
    if (typeof contact !== "string") throw problem("malformed", "a contact is not a string");
    if (contact === "") throw problem("invalidContact", "a contact is empty");
    if (!/^mailto:/i.test(contact)) throw problem("unsupportedContact", "contacts are mailto URLs");
    const mailbox = contact.slice("mailto:".length);
    // §7.3: no hfields, one address; `?` and `,` would bring more.
    if (mailbox.length > 254 || /[?,]/.test(mailbox) || !address.test(mailbox)) {
      throw problem("invalidContact", "a contact is not one plain e-mail address");
    }
    return contact;
  });
}
