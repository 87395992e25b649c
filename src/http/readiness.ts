/** Readiness: database and signing key really tried, at most once a second however often it is asked. */

/** One key or several that can be tried. */
export interface SigningKey {
  /** Signs and verifies. @throws {NotReady} · anything else of which nobody outside is told, when it does not work */
  probe(): Promise<void>;
}

/** Why the server is not ready, in words for whoever asks; what is behind it is the cause, for the log. */
export class NotReady extends Error {
  override readonly name = "NotReady";
}

/** How long an answer stands; a probe must not become a way to keep the token busy. */
const standsMs = 1000;

export function createReadiness({
  database,
  key,
}: {
  database: () => Promise<void>;
  /** The keys that issue now. @throws where there is none */
  key: () => SigningKey;
}): () => Promise<void> {
  let asked = -Infinity;
  let answer: Promise<void> = Promise.resolve();

  async function check(): Promise<void> {
    await database();
    await key().probe();
  }

  return () => {
    const now = performance.now(); // Which is never put back.
    if (now - asked >= standsMs) {
      asked = now;
      answer = check();
      answer.catch(() => undefined); // Whoever asked hears of it; an answer nobody waits for is no unhandled rejection.
    }
    return answer;
  };
}
