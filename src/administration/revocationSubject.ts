/** Whose certificates are revoked, as a request says it: `by`, which has one member. */
import { type Static, Type } from "typebox";

import { problem } from "../problem/problem.ts";
import { digest, nameText, readSerial, uuid } from "../rest/parameters.ts";
import type { Pseudonym } from "./delegationPorts.ts";
import { readDelegation } from "./delegations.ts";
import type { RevocationKind, RevocationSubject } from "./revocationPorts.ts";

const delegated = Type.Object(
  { source: Type.String({ minLength: 1, maxLength: 40 }), name: nameText(1024) },
  { additionalProperties: false },
);

export const bySchema = Type.Object(
  {
    certificate: Type.Optional(Type.String({ maxLength: 80 })),
    identity: Type.Optional(nameText(100_000)),
    key: Type.Optional(digest),
    account: Type.Optional(uuid),
    grant: Type.Optional(Type.String({ pattern: "^[a-z0-9][a-z0-9-]{0,63}$", description: "the name of a grant" })),
    source: Type.Optional(
      Type.String({ pattern: "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", description: "the ref of a source of evidence" }),
    ),
    task: Type.Optional(delegated),
    delegator: Type.Optional(delegated),
    issuer: Type.Optional(uuid),
  },
  { additionalProperties: false, minProperties: 1, maxProperties: 1 },
);
type By = Static<typeof bySchema>;

export const revocationKinds = Object.keys(bySchema.properties) as readonly RevocationKind[];

export interface SubjectReading {
  /** The pseudonym of a task or delegator. */
  readonly pseudonym: Pseudonym;
  /** Refs of the configured delegation sources. */
  readonly delegationSources: readonly string[];
}

/** @throws {Problem} restInvalid */
export function readSubject(by: By, { pseudonym, delegationSources }: SubjectReading): RevocationSubject {
  const [given] = Object.entries(by) as [RevocationKind, string | object][];
  if (given === undefined) throw problem("restInvalid", "by: expected one member");
  const [kind, value] = given;
  const plain = (subject: string): RevocationSubject => ({ kind, subject, delegationSource: null });
  if (kind === "task" || kind === "delegator") {
    const { source, name } = value as Static<typeof delegated>;
    const asked = { source, [kind]: name };
    const { pseudonym: made } = readDelegation(asked, delegationSources, pseudonym);
    return { kind, subject: made.toString("hex"), delegationSource: source };
  }
  const text = value as string;
  if (kind === "certificate") return plain(readSerial(text).toString("hex"));
  return plain(kind === "key" ? text.toLowerCase() : text);
}

const unknown: Readonly<Record<RevocationKind, string>> = {
  certificate: "no certificate has this serial",
  identity: "no identity has this name",
  key: "",
  account: "there is no such account",
  grant: "no grant has or ever had this name",
  source: "no source of evidence has this ref, and no certificate in force rests on one of this ref",
  task: "",
  delegator: "",
  issuer: "there is no such issuer",
};

/** What there is not cannot be revoked: a name that was mistyped would revoke nothing and say that all is well. */
export const noSuchSubject = (kind: RevocationKind) => problem("restInvalid", `by.${kind}: ${unknown[kind]}`);
