/** What an operator is asked, and the ceremony that the answers amount to. */
import type { Ceremony, Step } from "../config/ceremonyFile.ts";
import { keyKinds } from "../keys/keyAlgorithms.ts";
import type { Prompter } from "./prompter.ts";

/** What the questions suggest answers by. */
export interface AskedConfiguration {
  readonly trustDomain: string;
  readonly keys: { readonly label: string };
}

const purposes = {
  here: "a root and an issuing CA, both with their keys here",
  root: "a root, on a machine of its own: this one",
  issuing: "an issuing CA whose certificate is signed elsewhere: by our offline root, or by another PKI",
  sign: "sign the request of an issuing CA with a root of this machine",
  crossOurs: "one more certificate for a CA of ours, from another PKI (cross-signing)",
  crossTheirs: "sign one more certificate for another CA (cross-signing)",
} as const;

/** Asks for everything that a ceremony must be told. */
export async function askForCeremony(prompter: Prompter, configuration: AskedConfiguration): Promise<Ceremony> {
  const purpose = await prompter.choose("What is this ceremony for?", purposes);
  const name = await prompter.ask("Name of the ceremony, also of its transcript", defaultNames[purpose], (text) =>
    /^[a-z0-9][a-z0-9-]{0,63}$/.test(text) ? undefined : "expected lower-case letters, digits and dashes, 64 at most",
  );
  const people = await prompter.ask("Who is there? Names, with commas between", "");
  const operators = people
    .split(",")
    .map((one) => one.trim())
    .filter((one) => one !== "");
  return { name, operators, steps: await questions[purpose](prompter, configuration) };
}

type Purpose = keyof typeof purposes;

const defaultNames: Readonly<Record<Purpose, string>> = {
  here: "first-hierarchy",
  root: "root",
  issuing: "issuing",
  sign: "sign-issuing",
  crossOurs: "cross-certificate",
  crossTheirs: "cross-sign",
};

type Questions = (prompter: Prompter, configuration: AskedConfiguration) => Promise<Step[]>;

const questions: Readonly<Record<Purpose, Questions>> = {
  async here(prompter, configuration) {
    const root = await askRoot(prompter, configuration);
    const request = await askRequest(prompter, configuration);
    const files = { requestFile: request.requestFile, issuerCertificateFile: root.certificateFile };
    const certificateFile = await askFile(prompter, "File for the issuing CA's certificate", "issuing.pem");
    const lifetimeDays = await askDays(prompter, "Days that the issuing CA is valid", 1825);
    const { line } = request;
    return [
      root,
      request,
      {
        step: "signIssuing",
        ...files,
        rootPublishesLists: true,
        lifetimeDays,
        certificateFile,
        ...(await askConstraints(prompter, configuration)),
      },
      { step: "importCertificate", line: line ?? "default", certificateFile, rootFile: root.certificateFile },
      { step: "activate", line: line ?? "default" },
    ];
  },
  root: async (prompter, configuration) => [await askRoot(prompter, configuration)],
  async issuing(prompter, configuration) {
    const request = await askRequest(prompter, configuration);
    const certificateFile = await askFile(
      prompter,
      "File in which the certificate, with what is above it, will come back",
      "issuing.pem",
    );
    const rootFile = await askFile(prompter, "File of the root's certificate", "root.pem");
    const line = request.line ?? "default";
    return [request, { step: "importCertificate", line, certificateFile, rootFile }, { step: "activate", line }];
  },
  async sign(prompter, configuration) {
    const requestFile = await askFile(prompter, "File of the request", "issuing.csr");
    const issuerCertificateFile = await askFile(prompter, "File of the root's certificate", "root.pem");
    const lifetimeDays = await askDays(prompter, "Days that the issuing CA is valid", 1825);
    const certificateFile = await askFile(prompter, "File for the issuing CA's certificate", "issuing.pem");
    const constraints = await askConstraints(prompter, configuration);
    return [{ step: "signIssuing", requestFile, issuerCertificateFile, lifetimeDays, certificateFile, ...constraints }];
  },
  async crossOurs(prompter) {
    const own = await askFile(prompter, "File of our CA's certificate", "root.pem");
    const requestFile = await askFile(prompter, "File for the request", "cross.csr");
    const certificateFile = await askFile(
      prompter,
      "File in which the other PKI's certificate, with what is above it, will come back",
      "cross.pem",
    );
    return [
      { step: "requestCross", certificateFile: own, requestFile },
      { step: "offerChain", certificateFile },
    ];
  },
  async crossTheirs(prompter) {
    const subjectFile = await askFile(prompter, "File of the other CA's certificate, or request", "other.pem");
    const issuerCertificateFile = await askFile(prompter, "File of the certificate of our CA that signs", "root.pem");
    const lifetimeDays = await askDays(prompter, "Days that the certificate is valid", 1095);
    const certificateFile = await askFile(prompter, "File for the certificate", "cross.pem");
    return [{ step: "crossSign", subjectFile, issuerCertificateFile, lifetimeDays, certificateFile }];
  },
};

async function askRoot(prompter: Prompter, { trustDomain, keys }: AskedConfiguration) {
  return {
    step: "makeRoot",
    keyLabel: await prompter.ask("Label of the root's key", `${keys.label}-root`),
    keyKind: await askKind(prompter, "Kind of the root's key", "ec-p384"),
    subject: await askSubject(prompter, "root", `Mayfly Root CA ${trustDomain}`),
    lifetimeDays: await askDays(prompter, "Days that the root is valid", 3650),
    certificateFile: await askFile(prompter, "File for the root's certificate", "root.pem"),
  } as const;
}

async function askRequest(prompter: Prompter, { trustDomain, keys }: AskedConfiguration) {
  return {
    step: "requestIssuing",
    line: await prompter.ask("Line of issuers, as profiles name it", "default", (text) =>
      /^[a-z][a-z0-9-]{0,39}$/.test(text) ? undefined : "expected lower-case letters, digits and dashes, 40 at most",
    ),
    keyLabel: await prompter.ask("Label of the issuing CA's key", keys.label),
    keyKind: await askKind(prompter, "Kind of the issuing CA's key", "ec-p256"),
    subject: await askSubject(prompter, "issuing CA", `Mayfly Issuing CA 1 ${trustDomain}`),
    requestFile: await askFile(prompter, "File for the request", "issuing.csr"),
  } as const;
}

async function askSubject(prompter: Prompter, what: string, commonName: string) {
  const check = (text: string): string | undefined =>
    /^\P{Cc}{1,64}$/u.test(text) ? undefined : "expected 1 to 64 characters, none of them a control character";
  const organization = await prompter.ask(`Organization of the ${what}`, "Mayfly", check);
  return { organization, commonName: await prompter.ask(`Common name of the ${what}`, commonName.slice(0, 64), check) };
}

async function askKind(prompter: Prompter, question: string, normal: (typeof keyKinds)[number]) {
  const kinds: readonly string[] = keyKinds;
  const kind = await prompter.ask(`${question} (${keyKinds.join(", ")})`, normal, (text) =>
    kinds.includes(text) ? undefined : `expected one of ${keyKinds.join(", ")}`,
  );
  return kind as (typeof keyKinds)[number];
}

async function askDays(prompter: Prompter, question: string, normal: number): Promise<number> {
  const days = await prompter.ask(question, String(normal), (text) =>
    /^\d{1,5}$/.test(text) && Number(text) >= 1 && Number(text) <= 10_950 ? undefined : "expected days from 1 to 10950",
  );
  return Number(days);
}

const askFile = (prompter: Prompter, question: string, normal: string): Promise<string> =>
  prompter.ask(question, normal, (text) =>
    text.length > 4096 ? "expected a path of at most 4096 characters" : undefined,
  );

async function askConstraints(
  prompter: Prompter,
  { trustDomain }: AskedConfiguration,
): Promise<{ nameConstraints?: { uri: string[] } }> {
  const wanted = await prompter.choose("Constrain the issuing CA to URIs of the trust domain?", {
    no: "no: every verifier takes that",
    yes: "yes: a stolen key is of less use; some verifiers refuse every certificate below, and some do not look",
  });
  return wanted === "yes" ? { nameConstraints: { uri: [trustDomain] } } : {};
}
