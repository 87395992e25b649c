/**
 * Messages between processes about nonces: one line of text, authenticated with a key of the deployment's, since whoever can log in to the
 * database can send one. `MAC KIND FROM NUMBER.VALUE NUMBER.VALUE …`; a question's value is the nonce, an answer's 1 or 0.
 */
import { createHmac, timingSafeEqual, type KeyObject } from "node:crypto";

export interface NonceMessage {
  readonly kind: "ask" | "answer";
  /** Instance id of the sender, hexadecimal. */
  readonly from: string;
  /** What a question has the sender's own number for, and the nonce; or that number and "1" where it was spent, "0" where not. */
  readonly items: readonly (readonly [number: number, value: string])[];
}

/** With the longest nonce and number well below the 8000 octets of a notification. */
export const itemsMax = 100;

const pattern = /^([\w-]{43}) ((ask|answer) ([0-9a-f]{20})((?: \d{1,15}\.[\w-]{1,43}){1,100}))$/;

const macOf = (key: KeyObject, to: string, content: string): Buffer =>
  createHmac("sha256", key).update(`${to} ${content}`).digest();

/** The line for the process `to`. */
export function encodeNonceMessage(key: KeyObject, to: string, { kind, from, items }: NonceMessage): string {
  const content = `${kind} ${from} ${items.map(([number, value]) => `${number}.${value}`).join(" ")}`;
  return `${macOf(key, to, content).toString("base64url")} ${content}`;
}

/** What a line to the process `to` says; undefined when it is not one of ours. */
export function readNonceMessage(key: KeyObject, to: string, line: string): NonceMessage | undefined {
  const [, mac = "", content = "", kind, from = "", items = ""] = pattern.exec(line) ?? [];
  if (kind !== "ask" && kind !== "answer") return undefined;
  if (!timingSafeEqual(macOf(key, to, content), Buffer.from(mac, "base64url"))) return undefined;
  const pairs = items.slice(1).split(" ");
  return {
    kind,
    from,
    items: pairs.map((pair) => {
      const dot = pair.indexOf(".");
      return [Number(pair.slice(0, dot)), pair.slice(dot + 1)] as const;
    }),
  };
}
