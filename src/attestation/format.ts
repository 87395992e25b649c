/** What a format of evidence is: the settings of its sources, what its evidence can reach, and how it is verified. */
import { type Static, type TProperties, Type } from "typebox";
import type { JsonObject } from "../encoding/json.ts";
import type { ActivationOffer, BindingLevel, EvidenceItem, VerificationContext, VerifiedEvidence } from "./evidence.ts";

/**
 * How many accounts may show evidence of one running instance (workload-attest-01, server rule 4). `once`: one account, one time.
 * `strict`: one account. `count`: so many. `alert`: any, and each further one raises an event.
 */
export const pinningSchema = Type.Object(
  {
    mode: Type.Enum(["once", "strict", "count", "alert"]),
    accounts: Type.Optional(
      Type.Integer({ minimum: 2, maximum: 16, description: "Only with mode count: so many accounts." }),
    ),
    seconds: Type.Optional(
      Type.Integer({
        minimum: 60,
        maximum: 31_536_000,
        description:
          "How long an instance that is not seen again stays pinned; 604800 unless said, and ever with once.",
      }),
    ),
  },
  { additionalProperties: false, description: "Whether an instance belongs to the account that showed it first." },
);
export type Pinning = Readonly<Static<typeof pinningSchema>>;

/** Why a pinning is none, or undefined. */
export function pinningFault({ mode, accounts, seconds }: Pinning): string | undefined {
  if ((mode === "count") !== (accounts !== undefined)) return "expected accounts with mode count, and with no other";
  return mode === "once" && seconds !== undefined ? "expected no seconds: mode once has no end" : undefined;
}

/** True when `pinning` lets through no more than `least` does. */
export function pinsAsStrictlyAs(pinning: Pinning, least: Pinning): boolean {
  const order = ["once", "strict", "count", "alert"];
  return order.indexOf(pinning.mode) <= order.indexOf(least.mode);
}

/** What all sources have; each format adds its own. */
export interface SourceSettings {
  readonly ref: string;
  readonly format: string;
  readonly pinning?: Pinning;
}

/**
 * The body of a 200 answer of a verified server; `trust` are PEM certificates to verify it by. Must keep to `maxBytes` and `timeoutMs`
 * and follow no redirect. Rejects for anything else.
 */
export type FetchBody = (
  url: string,
  options: { maxBytes: number; timeoutMs: number; trust?: string | undefined },
) => Promise<Buffer>;

/**
 * Status and body of an answer of a verified server to a JSON text. The credential goes to exactly this origin. Must keep to `maxBytes`
 * and `timeoutMs` and follow no redirect. Rejects where there is no such answer.
 */
export type PostJson = (
  origin: string,
  path: string,
  options: { json: string; authorization: string; maxBytes: number; timeoutMs: number; trust?: string | undefined },
) => Promise<{ readonly status: number; readonly body: Buffer }>;

/** What a source may use of the world besides its settings. */
export interface SourceSurroundings {
  readonly fetchBody: FetchBody;
  /** Absent where sources may only fetch: then those that must ask with a credential cannot be opened. */
  readonly postJson?: PostJson;
  readonly now: () => Date;
  readonly trustDomain: string;
  /** Certificates of this server's own CAs, DER: the root, and those that issue. */
  readonly ownAuthorities?: () => readonly Buffer[];
}

/** A source whose trust material is at hand, or fetched when it is first needed. */
export interface OpenSource {
  /**
   * Pure in evidence, settings, trust material and context.
   * @throws {EvidenceRefused} the evidence is bad
   * @throws {SourceUnavailable} it cannot be judged now
   */
  readonly verify: (item: EvidenceItem, context: VerificationContext) => Promise<VerifiedEvidence>;
  /**
   * Makes a credential that only one TPM can read, for evidence whose key has no certificate. Where absent the format knows no such thing.
   * @throws {EvidenceRefused} the keys that the client names are bad
   */
  readonly activate?: (request: JsonObject, now: Date) => ActivationOffer;
}

/** One format; `registry.ts` lists them all. */
export interface EvidenceFormat<Settings extends SourceSettings = SourceSettings> {
  readonly name: string;
  /** Settings of a source beside `ref`, `format` and `pinning`. */
  readonly properties: TProperties;
  /**
   * Refuses settings that cannot work or must not.
   * @param at - where they stand, for messages
   * @throws {Error} naming key, value and what was expected
   */
  check?(settings: Settings, at: string): void;
  /** The only claims it yields, so that a misspelt one stops the start; undefined where the issuer decides. */
  readonly claimNames: readonly string[] | undefined;
  /** Claims that tell the tenants of a shared issuer apart: a grant that asks for none would admit everybody. */
  tenantClaims?(settings: Settings): readonly string[] | undefined;
  /**
   * Claims that tell machines apart, where anybody's machine of a make can show evidence: a grant makes its identity of one, or says by
   * conditions which machines are meant. Undefined where the source itself says whose machines count.
   */
  machineClaims?(settings: Settings): readonly string[] | undefined;
  /**
   * Of evidence that vouches for a device and its key, and proves permanent identifiers and nothing else: the claims that tell devices
   * apart. Undefined where it vouches for a workload.
   */
  readonly deviceClaims?: readonly string[];
  /** True of a source whose evidence is a certificate of this server: it may be used for renewal, and for nothing else. */
  renews?(settings: Settings): boolean;
  /** What its evidence can reach: a grant that asks for more stops the start. */
  readonly levels: readonly BindingLevel[];
  /** Least pinning of its instances, and what holds unless a source or grant says more; `alert` where this is absent. */
  readonly pinning?: Pinning;
  /**
   * Opens a source with settings that passed `check`. Files are read now; nothing is fetched before it is needed.
   * @throws {Error} with a message for people when a file cannot be used
   */
  open(settings: Settings, surroundings: SourceSurroundings): OpenSource;
}
