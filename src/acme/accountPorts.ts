/** What the ACME room needs from a store of accounts (RFC 8555 §7.1.2). Each method is one statement, but for looking again. */
import type { Restrictions, VerifiedBinding } from "./externalAccountPorts.ts";
import type { Signer } from "./ports.ts";
import type { AccountStatus } from "./state.ts";

export interface Account {
  readonly id: string;
  /** The directory it was made in; it exists in no other. */
  readonly directory: string;
  readonly status: AccountStatus;
  readonly jwk: Readonly<Record<string, string>>;
  /** RFC 7638 thumbprint, SHA-256, 32 bytes. */
  readonly thumbprint: Buffer;
  readonly contact: readonly string[];
  readonly termsAgreedAt: Date | null;
  /** URL of the terms of service that it agreed to; null when there were none, or it agreed before the URL was kept. */
  readonly termsOfService: string | null;
  /** The binding it was made with (RFC 8555 §7.3.4), as the client sent it; null without one. */
  readonly externalAccountBinding: object | null;
  /** Undefined for an account that may have anything that the directory has. Immutable. */
  readonly restrictions: Restrictions | undefined;
}

export interface NewAccount {
  readonly id: string;
  readonly directory: string;
  readonly thumbprint: Buffer;
  readonly jwk: Readonly<Record<string, string>>;
  /** SHA-256 of the key's SubjectPublicKeyInfo. */
  readonly spkiSha256: Buffer;
  readonly contact: readonly string[];
  readonly termsAgreedAt: Date | null;
  readonly termsOfService: string | null;
}

export interface MadeAccount {
  readonly created: boolean;
  readonly account: Account;
}

/** An account key that was changed; or the account has another one by now, the new one is blocked, or somebody else has it. */
export type KeyChange =
  | { readonly outcome: "changed" | "stale" | "blocked" }
  | { readonly outcome: "taken"; readonly by: string };

export interface AccountStore {
  /**
   * The account of this key: made now, or the one that was there (one account per key and directory, whoever races). Undefined when
   * there is none and the key is blocked.
   */
  createAccount(account: NewAccount): Promise<MadeAccount | undefined>;
  /**
   * The same with a binding, whose key is used up by one: what that permits becomes what the account may have. `bindingRefused` when the
   * key may make no further account, and nothing was made. One that has one use left makes one account, however many ask at once.
   */
  createBoundAccount(
    account: NewAccount,
    binding: VerifiedBinding,
  ): Promise<MadeAccount | "bindingRefused" | undefined>;
  findAccountByThumbprint(directory: string, thumbprint: Buffer): Promise<Account | undefined>;
  /** Whatever key it has. */
  findAccount(directory: string, id: string): Promise<Account | undefined>;
  /** Thumbprints of the keys that the account had before, the latest first. */
  formerKeys(id: string): Promise<Buffer[]>;
  /** Keeps that the signer's account agreed to these terms of service; undefined as for `updateContact`. */
  agreeToTerms(signer: Signer, termsOfService: string, now: Date): Promise<Account | undefined>;
  /** Undefined when the signer's account is not `valid` any more, or has another key. */
  updateContact(signer: Signer, contact: readonly string[]): Promise<Account | undefined>;
  /** Deactivates and ends what is pending (RFC 8555 §7.3.6); undefined when the account was not `valid`. */
  deactivateAccount(signer: Signer): Promise<Account | undefined>;
  /** Changes the key where it still is the signer's and nobody has the new one (RFC 8555 §7.3.5). */
  changeKey(
    signer: Signer,
    key: { thumbprint: Buffer; jwk: Readonly<Record<string, string>>; spkiSha256: Buffer },
  ): Promise<KeyChange>;
}
