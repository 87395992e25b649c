/** An explanation for people: one block for each piece of evidence and each grant. */

interface Check {
  readonly key: string;
  readonly holds: boolean;
  readonly missed?: string;
  readonly expected?: unknown;
  readonly actual?: unknown;
  readonly pieces?: readonly { readonly evidence: number; readonly checks: readonly Check[] }[];
}

/** The answer of `POST /api/v1/policy/explain`, as far as it is shown. */
export interface Explained {
  readonly spiffeId: string;
  readonly quarantine: { readonly reason: string } | null;
  readonly evidence: readonly {
    readonly format: string;
    readonly ref: string;
    readonly written: boolean;
    readonly verified: boolean;
    readonly code?: string;
    readonly message?: string;
    readonly bindingLevel?: string;
    readonly used?: boolean;
  }[];
  readonly grants: readonly {
    readonly name: string;
    readonly version: string;
    readonly origin: string;
    readonly source: string;
    readonly allows: boolean;
    readonly attempts: readonly {
      readonly evidence: number;
      readonly allows: boolean;
      readonly checks: readonly Check[];
    }[];
    readonly pinning: readonly { readonly mode: string; readonly evidence: number; readonly allows: boolean | null }[];
  }[];
  readonly notAsked: {
    readonly grants: readonly { readonly name: string; readonly why: string; readonly reason?: string }[];
  } & Readonly<Record<"shape" | "profile" | "delegation" | "inactive", number>>;
  readonly counts: { readonly grant: string } | null;
  readonly result: {
    readonly allowed: boolean;
    readonly code?: string;
    readonly message?: string;
    readonly profile?: string;
    readonly lifetimeSeconds?: number;
    readonly notAfter?: string;
  };
}

const mark = (good: boolean | null): string => (good === null ? "?" : good ? "✓" : "✗");

/** What is printed. Values may hold anything that an issuer signs: control characters are escaped by their JSON. */
export function explanationText(explained: Explained): string {
  const { spiffeId, quarantine, evidence, grants, counts } = explained;
  const lines = [
    spiffeId,
    ...(quarantine === null ? [] : [`${mark(false)} the identity is in quarantine: ${printable(quarantine.reason)}`]),
    ...evidence.map(evidenceLine),
    ...grants.flatMap((grant) => ["", ...grantLines(grant, counts?.grant === grant.name)]),
    "",
    ...notAskedLines(explained),
    resultLine(explained),
  ];
  return `${lines.join("\n")}\n`;
}

function evidenceLine(
  { format, ref, written, verified, code, message, bindingLevel, used }: Explained["evidence"][number],
  place: number,
): string {
  const what = `${mark(verified && used !== true)} evidence ${place}: ${written ? "claims as of" : format} ${ref}`;
  if (!verified) return `${what}: ${code}: ${printable(message ?? "")}`;
  return `${what}, bound as ${bindingLevel}${used === true ? ", but used before" : ""}`;
}

function grantLines(
  { name, version, origin, source, allows, attempts, pinning }: Explained["grants"][number],
  counts: boolean,
): string[] {
  const head = `${mark(allows)} grant ${name} (${version}, ${origin})${counts ? " – this one counts" : ""}`;
  if (attempts.length === 0) return [head, `    ${mark(false)} there is no verified evidence of source ${source}`];
  return [
    head,
    ...attempts.flatMap(({ evidence, checks }) => [
      ...(attempts.length > 1 ? [`    evidence ${evidence}`] : []),
      ...checks.flatMap((check) => checkLines(check, "    ")),
    ]),
    ...pinning.map(
      ({ mode, evidence, allows: free }) => `    ${mark(free)} pinning ${mode} of the instance of evidence ${evidence}`,
    ),
  ];
}

function checkLines({ key, holds, missed, expected, actual, pieces = [] }: Check, indent: string): string[] {
  const found = actual === undefined ? "nothing" : shown(actual);
  const { claim } = Object(expected) as { claim?: unknown };
  const what = key.startsWith("conditions") && typeof claim === "string" ? `${key} (${printable(claim)})` : key;
  const reason = printable(missed?.startsWith(`${key}: `) ? missed.slice(key.length + 2) : (missed ?? ""));
  const compared = `expected ${shown(expected)}, found ${found}`;
  const why =
    pieces.length > 0 || key.startsWith("allOf")
      ? `: ${reason}`
      : what === key && key !== "minBinding"
        ? `: ${reason}; ${compared}`
        : `: ${compared}`; // Name and claim, or the level, say already what is missed.
  return [
    `${indent}${mark(holds)} ${what}${holds ? "" : why}`,
    ...(holds
      ? []
      : pieces.flatMap(({ evidence, checks }) => [
          `${indent}  evidence ${evidence}`,
          ...checks.flatMap((check) => checkLines(check, `${indent}    `)),
        ])),
  ];
}

function notAskedLines({ notAsked: { shape, profile, delegation, inactive, grants } }: Explained): string[] {
  const near = grants
    .filter(({ why }) => why !== "shape")
    .map(({ name, why, reason }) => `    ${name}: ${printable(reason ?? why)}`);
  if (shape + profile + delegation + inactive === 0) return [];
  return [
    `Not asked: ${shape} that never make this identity, ${profile} of another profile, ${delegation} that ask for a delegation, ${inactive} inactive.`,
    ...near,
  ];
}

function resultLine({ result: { allowed, code, message, profile, lifetimeSeconds, notAfter } }: Explained): string {
  return allowed
    ? `${mark(true)} a certificate of profile ${profile} for ${lifetimeSeconds} s, until ${notAfter}`
    : `${mark(false)} no certificate: ${code}: ${printable(message ?? "")}`;
}

const shownMax = 200;
const shown = (value: unknown): string => printable((JSON.stringify(value) ?? "nothing").slice(0, shownMax));

/** Nothing that moves a terminal's cursor. */
const printable = (text: string): string => text.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, "·");
