/**
 * One key in several tokens: the first that can sign does, in the order of configuration, and one that fails is set aside and tried again
 * later. Primary first, and not in turn: the tokens behind it are seldom as near as the first, and what is tested on schedule need not be
 * proved by use. An order of the tokens also gives overflow for nothing: where the first has too much to do, the next one takes it.
 * Knows no PKCS#11: a token is a `KeyProvider`.
 */
import { KeyUnavailable, type KeyProvider, type Signer, type TokenState, type WantedKey } from "./signer.ts";

/** A token as it is configured. */
export interface Replica {
  /** For people. */
  readonly name: string;
  open(): Promise<KeyProvider>;
}

export interface ReplicatedOptions {
  /** How often a token that was set aside is tried again. */
  readonly retryMs: number;
  /** Told whenever a token is set aside, and when it is back. */
  readonly onChange: (state: TokenState) => void;
}

interface Token extends Replica {
  provider?: KeyProvider;
  /** Why it is set aside. */
  aside?: string;
  trying?: Promise<void>;
}

/** A key that somebody has asked for, and where it is. */
interface Known {
  readonly wanted: WantedKey & { readonly spki: Buffer };
  readonly signers: Map<Token, Signer>;
}

/**
 * Opens every token; one that does not open is set aside.
 * @throws what the first says, when none opens
 */
export async function openReplicatedKeys(
  replicas: readonly Replica[],
  { retryMs, onChange }: ReplicatedOptions,
): Promise<KeyProvider> {
  const tokens: Token[] = replicas.map((replica) => ({ ...replica }));
  const keys = new Map<string, Known>();

  function stateOf({ name, aside, provider }: Token): TokenState {
    if (aside !== undefined) return { token: name, usable: false, reason: aside };
    const own = provider?.tokens?.().find(({ usable }) => !usable);
    return own ? { ...own, token: name } : { token: name, usable: true };
  }

  function setAside(token: Token, error: unknown): void {
    const known = token.aside !== undefined;
    token.aside = messageOf(error);
    if (!known) onChange(stateOf(token));
  }

  /** Opens it where it is not open, finds every key in it and has each sign. It is used again when all of that goes well. */
  async function tryAgain(token: Token): Promise<void> {
    try {
      token.provider ??= await token.open();
      for (const known of keys.values()) {
        const signer = known.signers.get(token) ?? (await token.provider.find(known.wanted));
        if (!signer) continue; // Not every key has to be in every token.
        await signer.selfTest?.();
        known.signers.set(token, signer);
      }
      if (token.aside === undefined) return;
      delete token.aside;
      onChange(stateOf(token));
    } catch (error) {
      setAside(token, error);
    }
  }

  function tryLater(): void {
    for (const token of tokens) {
      if (token.aside === undefined) continue;
      token.trying ??= tryAgain(token).finally(() => delete token.trying);
    }
  }

  /** In the order of configuration, those that are set aside last. */
  function candidates({ signers }: Known): [Token, Signer][] {
    const all = tokens.flatMap((token): [Token, Signer][] => {
      const signer = signers.get(token);
      return signer ? [[token, signer]] : [];
    });
    return [...all.filter(([{ aside }]) => aside === undefined), ...all.filter(([{ aside }]) => aside !== undefined)];
  }

  async function sign(known: Known, message: Uint8Array): Promise<Buffer> {
    const passedOver: [Token, Signer][] = [];
    const failures: unknown[] = [];
    for (const [token, signer] of candidates(known)) {
      if (!isReady(signer) || token.aside !== undefined) {
        passedOver.push([token, signer]);
        continue;
      }
      try {
        return await signer.sign(message);
      } catch (error) {
        failures.push(error);
        setAside(token, error);
      }
    }
    // None is as it should be; perhaps one does it all the same.
    for (const [, signer] of passedOver) {
      try {
        return await signer.sign(message);
      } catch (error) {
        failures.push(error);
      }
    }
    throw failures[0] ?? new KeyUnavailable("the key is in none of the tokens that are open");
  }

  function requireReady(known: Known): void {
    const failures: unknown[] = [];
    for (const [token, signer] of candidates(known)) {
      try {
        if (token.aside !== undefined) throw new KeyUnavailable(token.aside);
        return signer.requireReady?.();
      } catch (error) {
        failures.push(error);
      }
    }
    throw failures[0] ?? new KeyUnavailable("the key is in none of the tokens that are open");
  }

  /** In every token, those that are set aside too. */
  async function selfTest(known: Known): Promise<void> {
    const tested = candidates(known).map(([token]) => token);
    await Promise.all(tested.map((token) => (token.trying ??= tryAgain(token).finally(() => delete token.trying))));
    requireReady(known);
  }

  function signerOf(known: Known, found: Signer): Signer {
    const { label, algorithm, spki, publicKey, custody } = found;
    return {
      label,
      algorithm,
      spki,
      publicKey,
      ...(custody && { custody }),
      sign: (message) => sign(known, message),
      requireReady: () => requireReady(known),
      selfTest: () => selfTest(known),
    };
  }

  /** @returns what each token has; a token that fails is set aside and `undefined` here */
  async function askEach(wanted: WantedKey): Promise<{ found: [Token, Signer][]; all: boolean }> {
    const answers = await Promise.all(
      tokens.map(async (token): Promise<[Token, Signer | undefined] | undefined> => {
        if (!token.provider) return undefined;
        try {
          return [token, await token.provider.find(wanted)];
        } catch (error) {
          if (!(error instanceof KeyUnavailable)) throw error;
          setAside(token, error);
          return undefined;
        }
      }),
    );
    const asked = answers.filter((answer) => answer !== undefined);
    const found = asked.flatMap(([token, signer]): [Token, Signer][] => (signer ? [[token, signer]] : []));
    return { found, all: asked.length === tokens.length };
  }

  async function find(wanted: WantedKey): Promise<Signer | undefined> {
    const { found, all } = await askEach(wanted);
    const [first] = found;
    if (!first) {
      // Where not every token was asked, "none" would have somebody make a second key.
      if (all) return undefined;
      throw new KeyUnavailable("the key is in none of the tokens that can be asked now, and not all can");
    }
    const { spki, algorithm, label } = first[1];
    if (found.some(([, signer]) => !signer.spki.equals(spki)))
      throw new Error(`the label "${label}" names different keys in the tokens; give each key its own`);
    const name = `${algorithm} ${spki.toString("hex")}`;
    const known = keys.get(name) ?? { wanted: { spki, algorithm }, signers: new Map<Token, Signer>() };
    keys.set(name, known);
    for (const [token, signer] of found) known.signers.set(token, signer);
    return signerOf(known, first[1]);
  }

  await Promise.all(
    tokens.map(async (token) => {
      try {
        token.provider = await token.open();
      } catch (error) {
        token.aside = messageOf(error);
        token.trying = Promise.reject(error);
        token.trying.catch(() => undefined);
      }
    }),
  );
  if (tokens.every(({ provider }) => !provider)) await tokens[0]?.trying;
  for (const token of tokens) {
    delete token.trying;
    if (token.aside !== undefined) onChange(stateOf(token));
  }
  const timer = setInterval(tryLater, retryMs);
  timer.unref();
  const open = (): KeyProvider[] => tokens.flatMap(({ provider }) => (provider ? [provider] : []));
  return {
    description: tokens.map(({ name, provider }) => provider?.description ?? `${name} (away)`).join("; "),
    development: false,
    tokens: () => tokens.map(stateOf),

    async generate(label, kind) {
      const [first] = tokens;
      if (!first?.provider || first.aside !== undefined)
        throw new KeyUnavailable(`keys are made in the first token, which is away: ${first?.aside ?? "not open"}`);
      if (await find({ label })) throw new Error(`the label "${label}" is taken by a private key in a token`);
      const made = await first.provider.generate(label, kind);
      const signer = await find({ spki: made.spki, algorithm: made.algorithm });
      if (!signer) throw new KeyUnavailable(`the token does not find the key "${label}" that it has just made`);
      return signer;
    },

    find,

    async close() {
      clearInterval(timer);
      for (const { trying } of tokens) await trying;
      await Promise.all(open().map((provider) => provider.close()));
    },
  };
}

function isReady(signer: Signer): boolean {
  try {
    signer.requireReady?.();
    return true;
  } catch {
    return false;
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : "unknown error";
}
