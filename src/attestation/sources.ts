/**
 * Evidence sources: whose statements count. A source is named by an opaque `ref` of ours, because issuers such as
 * `https://kubernetes.default.svc` are shared by many clusters.
 */
import type { BindingLevel } from "./evidence.ts";
import type { OpenSource, Pinning, SourceSettings, SourceSurroundings } from "./format.ts";
import { formatNamed } from "./registry.ts";

/** What grants need to know of a source. */
export interface SourceFacts {
  readonly ref: string;
  readonly format: string;
  /** The only claims it yields; undefined where its issuer decides. */
  readonly claimNames: readonly string[] | undefined;
  /** Claims that tell the tenants of a shared issuer apart; undefined where the issuer has one tenant. */
  readonly tenantClaims: readonly string[] | undefined;
  /** Claims that tell machines apart, where anybody's can show evidence; undefined where they are all the operator's. */
  readonly machineClaims: readonly string[] | undefined;
  /** True when it vouches for devices, by these claims, and for no workload. */
  readonly ofDevices: boolean;
  readonly deviceClaims: readonly string[];
  readonly levels: readonly BindingLevel[];
  /** True where its evidence is a certificate of this server, which renews and does nothing else. */
  readonly renews: boolean;
  /** How instances are pinned unless a grant says more, and the least that a grant may say. */
  readonly pinning: Pinning;
  readonly leastPinning: Pinning;
}

/** A source that can verify. */
export interface Source extends SourceFacts, OpenSource {
  /** Of a token authority: its `iss`, and where clients get tokens (RFC 9447 §3). */
  readonly issuer: string | undefined;
  readonly tokenAuthorityUrl: string | undefined;
}

/** Of settings that passed `checkSource`. */
export function sourceFacts(settings: SourceSettings): SourceFacts {
  const format = formatNamed(settings.format);
  const leastPinning = format.pinning ?? { mode: "alert" };
  return {
    ref: settings.ref,
    format: format.name,
    claimNames: format.claimNames,
    tenantClaims: format.tenantClaims?.(settings),
    machineClaims: format.machineClaims?.(settings),
    ofDevices: format.deviceClaims !== undefined,
    deviceClaims: format.deviceClaims ?? [],
    levels: format.levels,
    renews: format.renews?.(settings) ?? false,
    pinning: settings.pinning ?? leastPinning,
    leastPinning,
  };
}

/** Opens a source. @throws {Error} with a message for people, naming the source, when a file cannot be used */
export function openSource(settings: SourceSettings, surroundings: SourceSurroundings): Source {
  const opened = openedAt(`attestation.sources.${settings.ref}`, () =>
    formatNamed(settings.format).open(settings, surroundings),
  );
  const { issuer, tokenAuthorityUrl } = settings as { issuer?: string; tokenAuthorityUrl?: string };
  return Object.freeze({ ...sourceFacts(settings), issuer, tokenAuthorityUrl, ...opened });
}

/** What `open` yields; what it throws says where the files are named that it reads. */
export function openedAt<T>(at: string, open: () => T): T {
  try {
    return open();
  } catch (cause) {
    const { code, path, message } = cause as NodeJS.ErrnoException;
    const reason = path === undefined || code === undefined ? message : `${path} cannot be read (${code})`;
    throw new Error(`${at}: ${reason}`, { cause });
  }
}
