/**
 * Keys that a profile wants certified once, or for one identity only: the part of the statements that write intents. Profiles without such
 * a rule have statements without it.
 */
import type { KeyReuse } from "../authority/ports.ts";
import { statement, type Statement } from "./database.ts";

/** Violated where a key was certified before that the profile's rule does not let through. */
export const keyConstraint = "certificate_key_once";

/**
 * A CTE behind `moved` that takes the key ($14) for the identity ($8), or fails the whole statement. Of two statements that come at the same
 * time the second waits for the row of the first. Certificates count as well that other profiles issued for the key.
 */
function takeKey(rule: KeyReuse, moved: string): string {
  if (rule === "any") return "";
  const [other, sameRow] =
    rule === "never" ? ["true", "true"] : ["i.name <> $8::text", "k.identity_name <> excluded.identity_name"];
  return `, keyed as (
     insert into certificate_key as k (spki_sha256, identity_name, refused)
     select $14, $8, exists (
       select from certificate c join identity i on i.id = c.identity_id where c.spki_sha256 = $14 and ${other})
     from ${moved}
     on conflict (spki_sha256) do update set refused = excluded.refused or ${sameRow}
   )`;
}

/**
 * The statement that writes an intent, for each rule.
 * @param text - makes it of the CTE, which stands behind the one named `moved` and before what inserts the intent
 */
export function byKeyReuse(name: string, text: (keyed: string) => string): Readonly<Record<KeyReuse, Statement>> {
  const of = (rule: KeyReuse, suffix: string): Statement => statement(`${name}${suffix}`, text(takeKey(rule, "moved")));
  return { any: of("any", ""), identity: of("identity", "_identity_key"), never: of("never", "_new_key") };
}
