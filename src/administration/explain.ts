/**
 * REST: `POST /api/v1/policy/explain` says for evidence, or for claims that are written down, which grants would give an identity and why
 * the others would not. Nothing is issued, marked as used, pinned or kept. Operator token required.
 */
import type { FastifyInstance } from "fastify";
import { type Static, Type } from "typebox";

import { bindingLevels, type Claims } from "../attestation/evidence.ts";
import type { GrantAllows } from "../authority/grantDecision.ts";
import { validityOf, ValidityRefused, type Profile } from "../authority/profile.ts";
import { problem } from "../problem/problem.ts";
import { nameText, readTime, time } from "../rest/parameters.ts";
import { parseSpiffeId, SpiffeIdError } from "../x509/spiffeId.ts";
import { explain, sourceOf, whyNoSource, type Answer, type ExplainParts, type Question } from "./explanation.ts";
import { explanationJson, type Result } from "./explainJson.ts";

/** Octets: four pieces of evidence, and their endorsements. */
const bodyLimit = 1_048_576;

const short = Type.String({ minLength: 1, maxLength: 64 });
const hash = Type.String({ pattern: "^[A-Za-z0-9_-]{43}$", description: "32 octets, base64url" });
const text = Type.String({ maxLength: 262_144 });
const explainSchema = Type.Object(
  {
    spiffeId: nameText(2048),
    profile: Type.Optional(short),
    delegatedBy: Type.Optional(short),
    evidence: Type.Optional(
      Type.Array(
        Type.Object(
          {
            format: short,
            ref: Type.Optional(short),
            value: Type.String({ minLength: 1, maxLength: 65_536 }),
            endorsements: Type.Optional(
              Type.Record(Type.String({ maxLength: 64 }), Type.Union([text, Type.Array(text, { maxItems: 16 })]), {
                maxProperties: 16,
              }),
            ),
          },
          { additionalProperties: false },
        ),
        { maxItems: 4 },
      ),
    ),
    claims: Type.Optional(
      Type.Array(
        Type.Object(
          {
            ref: short,
            claims: Type.Object({}, { additionalProperties: true }),
            bindingLevel: Type.Enum([...bindingLevels]),
            instance: Type.Optional(nameText(1024)),
          },
          { additionalProperties: false },
        ),
        { maxItems: 4 },
      ),
    ),
    binding: Type.Optional(hash),
    keyAuthorization: Type.Optional(Type.String({ pattern: "^[A-Za-z0-9_-]{1,128}\\.[A-Za-z0-9_-]{43}$" })),
    spki: Type.Optional(hash),
    accountThumbprint: Type.Optional(hash),
    at: Type.Optional(time),
  },
  { additionalProperties: false },
);
type Body = Static<typeof explainSchema>;

export interface ExplainRoutesOptions extends ExplainParts {
  readonly profiles: ReadonlyMap<string, Profile>;
  /** B of workload-attest-01. */
  readonly bindingOf: (keyAuthorization: string, spkiSha256: Buffer) => string;
  readonly now: () => Date;
}

export function explainRoutes(options: ExplainRoutesOptions) {
  return async function plugin(server: FastifyInstance): Promise<void> {
    server.post<{ Body: Body }>("/policy/explain", { schema: { body: explainSchema }, bodyLimit }, async ({ body }) => {
      const question = questionOf(body, options);
      const answer = await explain(question, options);
      const inactive = options.standing.all().filter(({ grant }) => grant === undefined);
      return explanationJson(question, answer, inactive, resultOf(answer, question, options));
    });
  };
}

/** @throws {Problem} restInvalid */
function questionOf(body: Body, options: ExplainRoutesOptions): Question {
  const { spiffeId, profile, delegatedBy, evidence = [], claims = [], keyAuthorization, spki } = body;
  requireSpiffeId(spiffeId);
  if (profile !== undefined && !options.profiles.has(profile))
    throw problem("restInvalid", "profile is not the name of one");
  if (evidence.length + claims.length === 0) throw problem("restInvalid", "evidence or claims are needed");
  if ((keyAuthorization === undefined) !== (spki === undefined))
    throw problem("restInvalid", "keyAuthorization and spki go together");
  if (spki !== undefined && body.binding !== undefined)
    throw problem("restInvalid", "binding is what keyAuthorization and spki make: give either");
  const accept = options.accept(spiffeId, profile, delegatedBy);
  for (const [index, { format, ref }] of evidence.entries()) {
    if (ref === undefined && sourceOf(format, accept) === undefined)
      throw problem("restInvalid", `evidence/${index} needs a ref: ${whyNoSource(format, accept)}`);
  }
  const account = body.accountThumbprint ?? keyAuthorization?.split(".")[1];
  const binding =
    keyAuthorization === undefined || spki === undefined
      ? body.binding
      : options.bindingOf(keyAuthorization, Buffer.from(spki, "base64url"));
  return {
    spiffeId,
    profile,
    delegatedBy,
    evidence: evidence.map(({ ref, ...item }) => ({ ...item, ref })) as Question["evidence"],
    claims: claims.map(({ claims: written, ...one }) => ({ ...one, claims: written as Claims })),
    binding,
    account: account === undefined ? undefined : Buffer.from(account, "base64url"),
    at: body.at === undefined ? options.now() : readTime(body.at, "at"),
  };
}

function requireSpiffeId(spiffeId: string): void {
  try {
    parseSpiffeId(spiffeId);
  } catch (error) {
    if (error instanceof SpiffeIdError) throw problem("restInvalid", `spiffeId: ${error.message}`);
    throw error;
  }
}

/** As an order would get it that asks for no notAfter of its own. */
function resultOf({ decision, refused }: Answer, { at }: Question, { profiles }: ExplainRoutesOptions): Result {
  if (refused !== undefined) return { refused };
  if ("refused" in decision) return { refused: { code: decision.refused, message: decision.message } };
  const profile = profiles.get(decision.grant.profile);
  if (profile === undefined) return { refused: { code: "invalidProfile", message: "the profile is not there" } };
  try {
    const notAfterCap = capOf(decision);
    return {
      lifetime: validityOf(profile, at, { notAfterCap, lifetimeMaxSeconds: decision.grant.maxLifetimeSeconds }),
    };
  } catch (error) {
    if (error instanceof ValidityRefused) return { refused: { code: "malformed", message: error.message } };
    throw error;
  }
}

function capOf({ evidence }: GrantAllows): Date | undefined {
  const caps = evidence.flatMap(({ notAfterCap }) => notAfterCap?.getTime() ?? []);
  return caps.length === 0 ? undefined : new Date(Math.min(...caps));
}
