/** The section `issuers`: lines of issuing CAs that profiles name, and how each is followed by the next; the roots are another such line. */
import { Type, type Static } from "typebox";

import { defaultIssuerName } from "../authority/issuer.ts";
import { marginSeconds, type IssuerLine, type IssuerLines } from "../authority/issuerLine.ts";
import type { Profile } from "../authority/profile.ts";
import { activateBefore } from "../authority/rotation/plan.ts";
import { nameConstraints, type NameConstraints } from "../x509/nameConstraints.ts";
import { canonicalDnsName } from "../x509/names.ts";
import { keyKinds } from "../keys/keyAlgorithms.ts";
import { integer, section } from "./sections.ts";

const issuerName = "^[a-z][a-z0-9-]{0,39}$";

const names = (description: string) =>
  Type.Array(Type.String({ minLength: 1, maxLength: 253 }), { default: [], maxItems: 100, description });

const lineSchema = section({
  keyKind: Type.Optional(
    Type.Enum([...keyKinds], { description: "Kind of the keys of CAs that are made. Default: hierarchy.keyKind." }),
  ),
  lifetimeDays: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: 10_950,
      description: "Lifetime of the issuing CAs of this line. Default: hierarchy.issuingLifetimeDays.",
    }),
  ),
  publishedSeconds: integer("How long one is published before it issues.", 5, 31_536_000, 300),
  automatic: Type.Boolean({
    default: true,
    description: "The next one is made, published and made active by itself. false: by command alone.",
  }),
  nameConstraints: Type.Optional(
    Type.Object(
      {
        uri: names("Permitted hosts of URIs, such as the trust domain."),
        dns: names("Permitted DNS names, each with all below it."),
        ip: names("Permitted networks, such as 10.0.0.0/8."),
      },
      { additionalProperties: false },
    ),
  ),
});

export const issuersSection = Type.Optional(
  Type.Record(Type.String({ pattern: issuerName }), lineSchema, {
    propertyNames: { pattern: issuerName },
    maxProperties: 50,
    description: "Lines of issuing CAs, by the name that profiles use. `default` is there without being written.",
  }),
);

/** How the roots follow each other; part of the section `hierarchy`. */
export const rootLineKeys = {
  rootPublishedSeconds: integer("How long a new root is published before it signs.", 900, 31_536_000, 2_592_000),
  rootAutomatic: Type.Boolean({
    default: true,
    description: "The next root is made, published and made active by itself, where the key of the one before is here.",
  }),
};

type WrittenLine = Static<typeof lineSchema>;

interface Written {
  readonly issuers?: Readonly<Record<string, WrittenLine>>;
  readonly hierarchy: {
    readonly rootLifetimeDays: number;
    readonly issuingLifetimeDays: number;
    readonly keyKind: IssuerLine["keyKind"];
    readonly rootPublishedSeconds: number;
    readonly rootAutomatic: boolean;
  };
}

const daySeconds = 86_400;

/**
 * The lines, each with the longest lifetime that its issuers must be able to give.
 * @throws {Error} naming key, value and what was expected
 */
export function readIssuerLines(
  { issuers = {}, hierarchy }: Written,
  profiles: ReadonlyMap<string, Profile>,
): IssuerLines {
  const written = !Object.hasOwn(issuers, defaultIssuerName)
    ? { [defaultIssuerName]: lineDefaults(), ...issuers }
    : issuers;
  for (const { name, issuer } of profiles.values())
    if (!Object.hasOwn(written, issuer))
      throw new Error(
        `profiles.${name}.issuer: "${issuer}": expected a line of issuers: ${Object.keys(written).join(", ")}`,
      );
  const lines = Object.entries(written).map(([name, line]) => lineOf(name, line, hierarchy, profiles));
  lines.sort((a, b) => Number(b.name === defaultIssuerName) - Number(a.name === defaultIssuerName));
  const root: IssuerLine = {
    kind: "root",
    name: defaultIssuerName,
    keyKind: hierarchy.keyKind,
    lifetimeSeconds: hierarchy.rootLifetimeDays * daySeconds,
    publishedSeconds: hierarchy.rootPublishedSeconds,
    longestSeconds: Math.max(...lines.map(({ lifetimeSeconds }) => lifetimeSeconds)),
    automatic: hierarchy.rootAutomatic,
  };
  requirePossible(root, "hierarchy.rootLifetimeDays", "the longest lifetime of an issuing CA");
  for (const line of lines)
    requirePossible(line, `issuers.${line.name}.lifetimeDays`, "the longest lifetime of its profiles");
  return { root, issuing: new Map(lines.map((line) => [line.name, line])) };
}

const lineDefaults = (): WrittenLine => ({ publishedSeconds: 300, automatic: true });

function lineOf(
  name: string,
  { keyKind, lifetimeDays, publishedSeconds, automatic, nameConstraints: constraints }: WrittenLine,
  hierarchy: Written["hierarchy"],
  profiles: ReadonlyMap<string, Profile>,
): IssuerLine {
  if (name === "root")
    throw new Error(`issuers.root: expected another name: the keys of roots have that in their labels`);
  const own = [...profiles.values()].filter(({ issuer }) => issuer === name);
  return {
    kind: "issuing",
    name,
    keyKind: keyKind ?? hierarchy.keyKind,
    lifetimeSeconds: (lifetimeDays ?? hierarchy.issuingLifetimeDays) * daySeconds,
    publishedSeconds,
    longestSeconds: Math.max(0, ...own.map(({ lifetimeMaxSeconds }) => lifetimeMaxSeconds)),
    automatic,
    ...(constraints !== undefined && isWritten(constraints) && { nameConstraints: readConstraints(name, constraints) }),
  };
}

const isWritten = ({ uri, dns, ip }: NameConstraints): boolean => uri.length + dns.length + ip.length > 0;

function readConstraints(name: string, written: NameConstraints): NameConstraints {
  for (const host of [...written.uri, ...written.dns]) {
    const domain = host.replace(/^\./, "");
    if (isDomain(domain)) continue;
    // A trust domain that is an address or has an underscore makes verifiers refuse the CA altogether.
    throw new Error(`issuers.${name}.nameConstraints: ${JSON.stringify(host)}: expected a domain name in lower case`);
  }
  try {
    nameConstraints(written);
  } catch (error) {
    throw new Error(`issuers.${name}.nameConstraints: ${(error as Error).message}`, { cause: error });
  }
  return written;
}

function isDomain(host: string): boolean {
  try {
    return canonicalDnsName(host, { wildcard: false }) === host;
  } catch {
    return false;
  }
}

/** An issuer that could not give its longest lifetime when the next one takes over could never be followed in time. */
function requirePossible(line: IssuerLine, key: string, longest: string): void {
  const least = activateBefore(line, line.lifetimeSeconds) + line.publishedSeconds + marginSeconds;
  if (line.lifetimeSeconds >= least) return;
  throw new Error(
    `${key}: ${line.lifetimeSeconds / daySeconds}: expected at least ${Math.ceil(least / daySeconds)}: ${longest} (${line.longestSeconds} s), ${line.publishedSeconds} s between published and active, and a margin`,
  );
}

/** What is possible and unwise, in sentences. */
export function issuerWarnings({ issuing }: IssuerLines): string[] {
  return [...issuing.values()].flatMap(({ name, lifetimeSeconds, longestSeconds, nameConstraints: constraints }) => [
    ...(longestSeconds * 6 > lifetimeSeconds
      ? [
          `issuers.${name}: certificates of up to ${longestSeconds} s are more than a sixth of the issuing CA's lifetime (${lifetimeSeconds} s): there will be many CAs at a time`,
        ]
      : []),
    ...(constraints !== undefined
      ? [
          `issuers.${name}.nameConstraints: several verifiers mishandle name constraints, those of URIs above all (Go 1.25.2 to 1.25.4 refuse what is permitted): try every verifier that you have`,
        ]
      : []),
  ]);
}
