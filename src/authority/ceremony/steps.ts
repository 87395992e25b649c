/** What a ceremony is made of: the steps that there are, and what each is told. Files are named relative to the ceremony's own. */
import { Type, type Static, type TObject, type TProperties } from "typebox";

import { keyKinds } from "../../keys/keyAlgorithms.ts";

const optional = Type.Optional;
/** An object that refuses keys it does not know. */
const shape = <T extends TProperties>(properties: T): TObject<T> =>
  Type.Object(properties, { additionalProperties: false });

const file = Type.String({ minLength: 1, maxLength: 4096 });
const nameValue = Type.String({ minLength: 1, maxLength: 64, pattern: "^\\P{Cc}+$" });
const subject = shape({ organization: Type.Optional(nameValue), commonName: nameValue });
const label = Type.String({ minLength: 1, maxLength: 64 });
const kind = Type.Enum([...keyKinds]);
const days = Type.Integer({ minimum: 1, maximum: 10_950 });
const pathLength = Type.Integer({ minimum: 0, maximum: 9 });
const line = Type.String({ pattern: "^[a-z][a-z0-9-]{0,39}$" });
const names = Type.Array(Type.String({ minLength: 1, maxLength: 255 }), { maxItems: 100 });
const constraints = shape({ uri: Type.Optional(names), dns: Type.Optional(names), ip: Type.Optional(names) });

const makeRoot = shape({
  step: Type.Literal("makeRoot"),
  keyLabel: optional(label),
  keyKind: optional(kind),
  subject: optional(subject),
  lifetimeDays: optional(days),
  pathLength: optional(pathLength),
  nameConstraints: optional(constraints),
  certificateFile: file,
});

const requestIssuing = shape({
  step: Type.Literal("requestIssuing"),
  line: optional(line),
  keyLabel: optional(label),
  keyKind: optional(kind),
  subject: optional(subject),
  nameConstraints: optional(constraints),
  requestFile: file,
});

const signIssuing = shape({
  step: Type.Literal("signIssuing"),
  requestFile: file,
  issuerCertificateFile: file,
  rootPublishesLists: optional(Type.Boolean()),
  subject: optional(subject),
  lifetimeDays: optional(days),
  pathLength: optional(pathLength),
  nameConstraints: optional(constraints),
  certificateFile: file,
});

const importCertificate = shape({
  step: Type.Literal("importCertificate"),
  line: optional(line),
  certificateFile: file,
  rootFile: optional(file),
  anySubject: optional(Type.Boolean()),
});

const activate = shape({ step: Type.Literal("activate"), line: optional(line) });

const requestCross = shape({ step: Type.Literal("requestCross"), certificateFile: file, requestFile: file });

const crossSign = shape({
  step: Type.Literal("crossSign"),
  subjectFile: file,
  issuerCertificateFile: file,
  lifetimeDays: optional(days),
  pathLength: optional(pathLength),
  nameConstraints: optional(constraints),
  certificateFile: file,
});

const offerChain = shape({ step: Type.Literal("offerChain"), certificateFile: file });

/** The shape of each step, by its name. */
export const stepSchemas = {
  makeRoot,
  requestIssuing,
  signIssuing,
  importCertificate,
  activate,
  requestCross,
  crossSign,
  offerChain,
} as const;

export type StepName = keyof typeof stepSchemas;
export type MakeRoot = Static<typeof makeRoot>;
export type RequestIssuing = Static<typeof requestIssuing>;
export type SignIssuing = Static<typeof signIssuing>;
export type ImportCertificate = Static<typeof importCertificate>;
export type Activate = Static<typeof activate>;
export type RequestCross = Static<typeof requestCross>;
export type CrossSign = Static<typeof crossSign>;
export type OfferChain = Static<typeof offerChain>;
export type Step =
  | MakeRoot
  | RequestIssuing
  | SignIssuing
  | ImportCertificate
  | Activate
  | RequestCross
  | CrossSign
  | OfferChain;

/** A ceremony without its steps: who holds it, and what it is called. */
export const ceremonySchema = Type.Object(
  {
    name: Type.String({ pattern: "^[a-z0-9][a-z0-9-]{0,63}$" }),
    operators: optional(Type.Array(nameValue, { maxItems: 20 })),
    steps: Type.Array(Type.Object({ step: Type.Enum(Object.keys(stepSchemas)) }), { minItems: 1, maxItems: 50 }),
  },
  { additionalProperties: false },
);

/** A ceremony as it is written down. */
export interface Ceremony {
  /** Names its transcript. */
  readonly name: string;
  /** Who is there. */
  readonly operators: readonly string[];
  readonly steps: readonly Step[];
}
