/** What the steps of a ceremony stand on, and what each says of itself before it is done. */
import type { KeyProvider } from "../../keys/signer.ts";
import type { CertificateStore, ChainStore, FirstActivation } from "../ceremonyPorts.ts";
import type { IssuerStore } from "../ports.ts";

/** Files that go from machine to machine: requests and certificates. Nothing in them is secret. */
export interface CeremonyFiles {
  /** The text; undefined where there is no such file. @throws {Error} for one that is too large, or cannot be read */
  read(name: string): Promise<string | undefined>;
  /** Before a key is made or used for what is to be in it. @throws {Error} where it is clear already that no such file can be made */
  requireRoom(name: string): Promise<void>;
  /** All of it or nothing, whatever happens meanwhile. Never replaces. @throws {Error} where there is such a file already */
  write(name: string, text: string): Promise<void>;
}

export type CeremonyStore = IssuerStore & CertificateStore & ChainStore & FirstActivation;

export interface CeremonyGround {
  readonly trustDomain: string;
  /** Label of issuing keys where a step names none; the root's is this with `-root` behind it. */
  readonly keyLabel: string;
  /** In how many lists the revoked certificates of a new issuing CA are told. */
  readonly crlShards: number;
  /** URLs of this authority's revocation lists start with it; without a slash at the end. */
  readonly publicUrl: string;
  /** Who does it, for the audit trail. */
  readonly actor: string;
  readonly now: () => Date;
  readonly random: (octets: number) => Buffer;
  readonly newId: () => string;
  readonly files: CeremonyFiles;
  /** Opened when it is first asked for, and kept. */
  readonly keys: () => Promise<KeyProvider>;
  /** The same: a machine that only signs has no database. */
  readonly store: () => Promise<CeremonyStore>;
  /** What is about to be signed; it lasts in the transcript before this resolves. */
  readonly announce: (line: string) => Promise<void>;
}

/** How a step stands. */
export type Standing =
  /** It was done before; this is what there is. */
  | { readonly is: "done"; readonly lines: readonly string[] }
  /** Something must come from elsewhere first. */
  | { readonly is: "waiting"; readonly on: string }
  | {
      readonly is: "ready";
      /** What will be done, for somebody to agree to. */
      readonly plan: readonly string[];
      /** True where others may do the same to the database: then it is done while nobody else can, and looked at once more. */
      readonly exclusive?: boolean;
      /** @returns what was made */
      readonly act: () => Promise<readonly string[]>;
    };

/** A ceremony cannot go on: something is not as a step needs it. The message is a sentence for the operator, or several, a line each. */
export class CeremonyStopped extends Error {
  override readonly name = "CeremonyStopped";
}
