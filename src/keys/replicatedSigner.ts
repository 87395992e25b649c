/**
 * One key in several tokens, as a `Signer`. Primary first, and not in turn: the tokens behind it are seldom as near as the first, and what is
 * tested on schedule need not be proved by use. An order of the tokens also gives overflow for nothing: where the first has too much to
 * do, the next one takes it.
 */
import { requireOpen, setAside, tryAgain, type ReplicatedKey, type Replicas, type Token } from "./replicas.ts";
import { KeyUnavailable, type Signer } from "./signer.ts";

/** A signer of that key. @param found - the key in one of the tokens, whose description it takes */
export function replicatedSigner(replicas: Replicas, key: ReplicatedKey, found: Signer): Signer {
  const { label, algorithm, spki, publicKey, custody } = found;
  return {
    label,
    algorithm,
    spki,
    publicKey,
    ...(custody && { custody }),
    sign: (message) => sign(replicas, key, message),
    requireReady: () => requireReady(replicas, key),
    selfTest: () => selfTest(replicas, key),
  };
}

/** In the order of configuration, those that are set aside last. */
function candidates({ tokens }: Replicas, { answers }: ReplicatedKey): [Token, Signer][] {
  const all = tokens.flatMap((token): [Token, Signer][] => {
    const signer = answers.get(token);
    return signer ? [[token, signer]] : [];
  });
  return [...all.filter(([{ aside }]) => aside === undefined), ...all.filter(([{ aside }]) => aside !== undefined)];
}

async function sign(replicas: Replicas, key: ReplicatedKey, message: Uint8Array): Promise<Buffer> {
  requireOpen(replicas);
  const passedOver: Signer[] = [];
  const failures: unknown[] = [];
  for (const [token, signer] of candidates(replicas, key)) {
    if (token.aside !== undefined || !isReady(signer)) {
      passedOver.push(signer);
      continue;
    }
    try {
      return await signer.sign(message);
    } catch (error) {
      failures.push(error);
      setAside(replicas, token, error);
    }
  }
  // None is as it should be; perhaps one does it all the same.
  for (const signer of passedOver) {
    try {
      return await signer.sign(message);
    } catch (error) {
      failures.push(error);
    }
  }
  throw failures[0] ?? inNone();
}

function requireReady(replicas: Replicas, key: ReplicatedKey): void {
  requireOpen(replicas);
  const failures: unknown[] = [];
  for (const [{ aside }, signer] of candidates(replicas, key)) {
    try {
      if (aside !== undefined) throw new KeyUnavailable(aside);
      return signer.requireReady?.();
    } catch (error) {
      failures.push(error);
    }
  }
  throw failures[0] ?? inNone();
}

/** In every token that has the key, those that are set aside too. */
async function selfTest(replicas: Replicas, key: ReplicatedKey): Promise<void> {
  requireOpen(replicas);
  await Promise.all(candidates(replicas, key).map(([token]) => tryAgain(replicas, token)));
  requireReady(replicas, key);
}

function inNone(): KeyUnavailable {
  return new KeyUnavailable("the key is in none of the tokens that are open");
}

function isReady(signer: Signer): boolean {
  try {
    signer.requireReady?.();
    return true;
  } catch {
    return false;
  }
}
