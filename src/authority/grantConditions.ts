/**
 * Conditions of grants: what claims must say besides making the identity. Pure. No regular expressions: what a condition lets through
 * can be read off it.
 */
import { type Static, Type } from "typebox";
import { readClaim } from "../attestation/claimReference.ts";
import type { Claims, ClaimValue } from "../attestation/evidence.ts";

const scalarSchema = Type.Union([Type.String({ maxLength: 1024 }), Type.Number(), Type.Boolean()]);

export const conditionSchema = Type.Object(
  {
    claim: Type.String({
      minLength: 1,
      maxLength: 256,
      description: "A claim's name, or a JSON Pointer (RFC 6901) when it begins with a slash.",
    }),
    equals: Type.Optional(scalarSchema),
    oneOf: Type.Optional(Type.Array(scalarSchema, { minItems: 1, maxItems: 1000 })),
    prefix: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 1024,
        description:
          "Whole segments between slashes: `group/project` admits `group/project/x` and not `group/project-x`.",
      }),
    ),
    min: Type.Optional(Type.Number()),
    max: Type.Optional(Type.Number()),
  },
  { additionalProperties: false, description: "Exactly one of equals, oneOf, prefix, or min and max." },
);

export type Condition = Readonly<Static<typeof conditionSchema>>;

/** Why a condition is not one, or undefined. */
export function conditionFault({ equals, oneOf, prefix, min, max }: Condition): string | undefined {
  const range = min === undefined && max === undefined ? undefined : [min, max];
  const tests = [equals, oneOf, prefix, range].filter((test) => test !== undefined);
  if (tests.length !== 1) return "expected exactly one of equals, oneOf, prefix, or min and max";
  if (prefix !== undefined && !prefix.split("/").every(isOrdinarySegment)) {
    return "expected a prefix of segments between slashes, without a slash at its end";
  }
  if (min !== undefined && max !== undefined && min > max) return "expected min to be at most max";
  return undefined;
}

/** True when the claim is there and says what the condition asks for; types count: "1" is not 1. */
export function meets(claims: Claims, { claim, equals, oneOf, prefix, min, max }: Condition): boolean {
  const value = readClaim(claims, claim);
  if (equals !== undefined) return value === equals;
  if (oneOf !== undefined) return oneOf.some((one) => value === one);
  if (prefix !== undefined) return hasPrefix(value, prefix);
  if (min === undefined && max === undefined) return false;
  return Number.isFinite(value) && Number(value) >= (min ?? -Infinity) && Number(value) <= (max ?? Infinity);
}

function hasPrefix(value: ClaimValue | undefined, prefix: string): boolean {
  if (typeof value !== "string") return false;
  if (value === prefix) return true;
  // A remainder that climbs out again would only look as if it were inside.
  return (
    value.startsWith(`${prefix}/`) &&
    value
      .slice(prefix.length + 1)
      .split("/")
      .every(isOrdinarySegment)
  );
}

function isOrdinarySegment(segment: string): boolean {
  return segment !== "" && segment !== "." && segment !== "..";
}

/** True when the condition says which values one of these claims has: a range or a placeholder would let every tenant in. */
export function pinsOneOf({ claim, min, max }: Condition, claims: readonly string[] = []): boolean {
  return claims.includes(claim) && min === undefined && max === undefined;
}
