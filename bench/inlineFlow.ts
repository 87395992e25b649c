/** Evidence and CSR with the order: one request from a standing account, or newNonce, newAccount and newOrder from a fresh one. */
import { createPublicKey } from "node:crypto";

import { bindingValue, spkiDigest } from "../src/client/binding.ts";
import { openDeadline } from "../src/client/deadline.ts";
import { encodeCsr } from "../src/x509/csrWriter.ts";
import { json, openAccount, p256, type Flow, type FlowOptions } from "./flows.ts";

export interface InlineOptions {
  readonly trustDomain: string;
  readonly mint: (subject: string, audience: string) => string;
  readonly audience: string;
  /** A new account for each issuance, in place of one for each client. */
  readonly fresh: boolean;
  /** How many identities there are; each issuance has one of its own unless said. */
  readonly identities?: number;
}

type Standing = Awaited<ReturnType<typeof openAccount>>;

/** A fresh certificate key and fresh evidence each time. */
export function inlineFlow(
  options: FlowOptions,
  { trustDomain, mint, audience, fresh, identities }: InlineOptions,
): Flow {
  const idle: Standing[] = [];
  return async (number) => {
    const account = idle.pop() ?? (await openAccount(options));
    const { session, signer, kid, newOrder: url } = account;
    const subject = `agent-${identities === undefined ? number : number % identities}`;
    const uri = `spiffe://${trustDomain}/dev/${subject}`;
    const key = p256();
    const spki = createPublicKey(key).export({ type: "spki", format: "der" });
    const csr = encodeCsr({ key, spki, dns: [], ip: [], uri: [uri] }).toString("base64url");
    const payload = async (nonce: string): Promise<object> => {
      const binding = bindingValue(nonce, signer.thumbprint, spkiDigest(spki));
      const value = mint(subject, `${audience}/${binding}`);
      return { identifiers: [{ type: "uri", value: uri }], csr, evidence: [{ format: "jwt", ref: "dev", value }] };
    };
    const deadline = openDeadline(60_000, undefined);
    const order = json(await session.post({ step: "newOrder", url, signer, kid, payload }, deadline));
    deadline.end();
    if (fresh) account.deadline.end();
    else idle.push(account);
    if (typeof order["certificateChain"] !== "string") throw new Error(`the order is ${String(order["status"])}`);
    return order["certificateChain"];
  };
}
