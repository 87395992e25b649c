/**
 * Tokens that have the same keys: one that fails is set aside, and used again once it signs with every key that somebody has asked for.
 * Knows no PKCS#11: a token is a `KeyProvider`.
 */
import { KeyUnavailable, type KeyProvider, type Signer, type TokenState, type WantedKey } from "./signer.ts";

/** A token as it is configured. */
export interface Replica {
  /** For people. */
  readonly name: string;
  open(): Promise<KeyProvider>;
}

/** A token as it is. */
export interface Token extends Replica {
  /** Not there as long as it could not be opened. */
  provider?: KeyProvider;
  /** Why it is set aside. */
  aside?: string;
  /** Set while it is tried. */
  trying?: Promise<void>;
}

/** A key that somebody has asked for. */
export interface ReplicatedKey {
  readonly wanted: WantedKey & { readonly spki: Buffer };
  /** What each token answered; `undefined` is an answer too, since not every key has to be in every token. */
  readonly answers: Map<Token, Signer | undefined>;
}

/** All that changes of several tokens. */
export interface Replicas {
  /** In the order of configuration. */
  readonly tokens: readonly Token[];
  /** By algorithm and public key. */
  readonly keys: Map<string, ReplicatedKey>;
  /** Told whenever a token is set aside, and when it is back. */
  readonly onChange: (state: TokenState) => void;
  closed: boolean;
}

/**
 * Opens every token; one that does not open is set aside.
 * @throws what the first says, when none opens
 */
export async function openReplicas(
  configured: readonly Replica[],
  onChange: (state: TokenState) => void,
): Promise<Replicas> {
  const tokens: Token[] = configured.map((replica) => ({ ...replica }));
  const replicas: Replicas = { tokens, keys: new Map(), onChange, closed: false };
  const failures = await Promise.all(
    tokens.map(async (token): Promise<{ token: Token; error: unknown }[]> => {
      try {
        token.provider = await token.open();
        return [];
      } catch (error) {
        return [{ token, error }];
      }
    }),
  ).then((each) => each.flat());
  if (failures.length === tokens.length) throw failures[0]?.error;
  for (const { token, error } of failures) setAside(replicas, token, error);
  return replicas;
}

/** @throws {KeyUnavailable} */
export function requireOpen({ closed }: Replicas): void {
  if (closed) throw new KeyUnavailable("the keys are closed");
}

/** As its last operations found it. */
export function stateOf({ name, aside, provider }: Token): TokenState {
  if (aside !== undefined) return { token: name, usable: false, reason: aside };
  const own = provider?.tokens?.().find(({ usable }) => !usable);
  return own ? { ...own, token: name } : { token: name, usable: true };
}

/** No more is asked of it, but where no other does, until `tryAgain` finds it well. */
export function setAside({ onChange, closed }: Replicas, token: Token, error: unknown): void {
  if (closed) return; // What fails then says nothing of the token.
  const known = token.aside !== undefined;
  token.aside = error instanceof Error ? error.message : "unknown error";
  if (!known) onChange(stateOf(token));
}

/** Tries each token that is set aside or has not been asked for every key: a key may be found while the token is just coming back. */
export function tryLeftOut(replicas: Replicas): void {
  for (const token of replicas.tokens) {
    if (token.aside === undefined && isAskedForAll(replicas, token)) continue;
    void tryAgain(replicas, token);
  }
}

function isAskedForAll({ keys }: Replicas, token: Token): boolean {
  return [...keys.values()].every(({ answers }) => answers.has(token));
}

/** Whoever wants a token tried while it is being tried shares that. Never rejects. */
export function tryAgain(replicas: Replicas, token: Token): Promise<void> {
  token.trying ??= tryEveryKey(replicas, token).finally(() => delete token.trying);
  return token.trying;
}

/** Opens it where it is not open, finds every key in it and has each sign. It is used again when all of that goes well. */
async function tryEveryKey(replicas: Replicas, token: Token): Promise<void> {
  try {
    token.provider ??= await token.open();
    for (const { wanted, answers } of replicas.keys.values()) {
      const signer = answers.get(token) ?? (await token.provider.find(wanted));
      await signer?.selfTest?.();
      answers.set(token, signer);
    }
    if (token.aside === undefined) return;
    delete token.aside;
    replicas.onChange(stateOf(token));
  } catch (error) {
    setAside(replicas, token, error);
  }
}

/** Ends what is being tried, and gives every token back. */
export async function closeReplicas(replicas: Replicas): Promise<void> {
  replicas.closed = true;
  for (const { trying } of replicas.tokens) await trying;
  await Promise.all(replicas.tokens.map(async ({ provider }) => provider?.close()));
}
