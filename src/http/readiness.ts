/** Readiness: database and signing key really tried, at most once a second however often it is asked. */
import type { Signer } from "../keys/signer.ts";
import { verifySignature } from "../x509/signatureAlgorithm.ts";

/** How long an answer stands; a probe must not become a way to keep the token busy. */
const standsMs = 1000;

/** What is signed: nothing that could be taken for a certificate or any other DER. */
const message = Buffer.from("Mayfly readiness check, not a certificate");

export function createReadiness({
  database,
  signer,
}: {
  database: () => Promise<void>;
  signer: Signer;
}): () => Promise<void> {
  let asked = 0;
  let answer: Promise<void> = Promise.resolve();

  async function check(): Promise<void> {
    await database();
    if (!verifySignature(signer.algorithm, signer.publicKey, message, await signer.sign(message))) {
      throw new Error("the signing key's signature does not verify");
    }
  }

  return () => {
    const now = Date.now();
    if (now - asked >= standsMs) {
      asked = now;
      answer = check();
      answer.catch(() => undefined); // Whoever asked hears of it; an answer nobody waits for is no unhandled rejection.
    }
    return answer;
  };
}
