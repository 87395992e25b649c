/**
 * Several tokens as one `KeyProvider`: keys are found in each, and made in the first.
 */
import {
  closeReplicas,
  openReplicas,
  requireOpen,
  setAside,
  stateOf,
  tryLeftOut,
  type Replica,
  type ReplicatedKey,
  type Replicas,
  type Token,
} from "./replicas.ts";
import { replicatedSigner } from "./replicatedSigner.ts";
import { SelfTestFailed } from "./selfTest.ts";
import {
  KeyUnavailable,
  type KeyKind,
  type KeyProvider,
  type Signer,
  type TokenState,
  type WantedKey,
} from "./signer.ts";

export interface ReplicatedOptions {
  /** How often a token that was set aside is tried again. */
  readonly retryMs: number;
  /** Told whenever a token is set aside, and when it is back. */
  readonly onChange: (state: TokenState) => void;
}

/**
 * Opens every token; one that does not open is set aside.
 * @throws what the first says, when none opens
 */
export async function openReplicatedKeys(
  configured: readonly Replica[],
  { retryMs, onChange }: ReplicatedOptions,
): Promise<KeyProvider> {
  const replicas = await openReplicas(configured, onChange);
  const { tokens } = replicas;
  const timer = setInterval(() => tryLeftOut(replicas), retryMs);
  timer.unref();
  return {
    description: tokens.map(({ name, provider }) => provider?.description ?? `${name} (away)`).join("; "),
    development: false,
    tokens: () => tokens.map(stateOf),
    generate: (label, kind) => generate(replicas, label, kind),
    find: (wanted) => find(replicas, wanted),
    close() {
      clearInterval(timer);
      return closeReplicas(replicas);
    },
  };
}

async function generate(replicas: Replicas, label: string, kind: KeyKind): Promise<Signer> {
  const [first] = replicas.tokens;
  if (!first?.provider || first.aside !== undefined)
    throw new KeyUnavailable(`keys are made in the first token, which is away: ${first?.aside ?? "not open"}`);
  if (await find(replicas, { label })) throw new Error(`the label "${label}" is taken by a private key in a token`);
  const made = await first.provider.generate(label, kind);
  const signer = await find(replicas, { spki: made.spki, algorithm: made.algorithm });
  if (!signer) throw new KeyUnavailable(`the token does not find the key "${label}" that it has just made`);
  return signer;
}

async function find(replicas: Replicas, wanted: WantedKey): Promise<Signer | undefined> {
  requireOpen(replicas);
  const answers = await askEach(replicas, wanted);
  const found = [...answers.values()].filter((signer) => signer !== undefined);
  const [first] = found;
  if (!first) {
    // Where not every token was asked, "none" would have somebody make a second key.
    if (answers.size === replicas.tokens.length) return undefined;
    throw new KeyUnavailable("the key is in none of the tokens that can be asked now, and not all can");
  }
  if (found.some(({ spki }) => !spki.equals(first.spki)))
    throw new Error(`the label "${first.label}" names different keys in the tokens; give each key its own`);
  return replicatedSigner(replicas, remember(replicas, first, answers, wanted), first);
}

/** @returns what each token answered, without those that are not open or have failed; the latter are set aside */
async function askEach(replicas: Replicas, wanted: WantedKey): Promise<ReplicatedKey["answers"]> {
  const answers = await Promise.all(
    replicas.tokens.map(async (token): Promise<[Token, Signer | undefined][]> => {
      if (!token.provider) return [];
      try {
        return [[token, await token.provider.find(wanted)]];
      } catch (error) {
        // Anything else is for people to mend: a key that can be taken out, a label that two keys have.
        if (!(error instanceof KeyUnavailable || error instanceof SelfTestFailed)) throw error;
        setAside(replicas, token, error);
        return [];
      }
    }),
  );
  return new Map(answers.flat());
}

function remember(
  { keys }: Replicas,
  { spki, algorithm }: Signer,
  answers: ReplicatedKey["answers"],
  asked: WantedKey,
): ReplicatedKey {
  const name = `${algorithm} ${spki.toString("hex")}`;
  const key = keys.get(name) ?? { wanted: { spki, algorithm }, answers: new Map<Token, Signer | undefined>() };
  keys.set(name, key);
  for (const [token, signer] of answers) {
    // Asked by label, "none" does not tell that the key is not there: it may have another one in that token.
    if (signer || (asked.spki && !key.answers.has(token))) key.answers.set(token, signer);
  }
  return key;
}
