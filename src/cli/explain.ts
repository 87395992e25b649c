/** `mayfly explain`: what evidence would give, grant by grant. */
import { readFile } from "node:fs/promises";
import { type CommandContext, defineCommand, UsageError } from "./command.ts";
import { explanationText, type Explained } from "./explanationText.ts";
import { restOptions, withRest } from "./rest.ts";

const options = {
  "spiffe-id": { type: "string", value: "ID", required: true, description: "the identity that is asked for" },
  evidence: {
    type: "string",
    value: "FORMAT:FILE",
    multiple: true,
    description: "a piece of evidence; binary evidence as it is, or as base64url",
  },
  ref: {
    type: "string",
    value: "REF",
    multiple: true,
    description: "its source, where more than one takes the format; the first is for the first piece",
  },
  claims: {
    type: "string",
    value: "FILE",
    multiple: true,
    description: "JSON with ref, claims and bindingLevel in place of evidence",
  },
  profile: { type: "string", value: "NAME", defaultText: "any", description: "profile of the order" },
  "delegated-by": { type: "string", value: "REF", description: "the order carries a delegation of this source" },
  binding: { type: "string", value: "B", description: "the binding value that the evidence carries" },
  "account-thumbprint": { type: "string", value: "HASH", description: "thumbprint of the account's key, base64url" },
  at: { type: "string", value: "TIME", defaultText: "now", description: "the instant at which to judge, RFC 3339" },
  ...restOptions,
} as const;

export const command = defineCommand({
  name: "explain",
  summary: "say which grants would give an identity to evidence, and why the others would not",
  usage: "--spiffe-id ID (--evidence FORMAT:FILE | --claims FILE) [OPTION …]",
  description:
    "Verifies the evidence as a challenge would and holds it against every grant. Nothing is issued, used up, pinned or kept. The exit status is 0 where a certificate would be made, and 1 where none would.",
  options,
  examples: [
    {
      does: "a token of a CI job",
      command: "mayfly explain --spiffe-id spiffe://mayfly.localhost/ci/build --evidence jwt:token --ref ci",
    },
    {
      does: "claims that one thinks of",
      command: "mayfly explain --spiffe-id spiffe://mayfly.localhost/ci/build --claims claims.json",
    },
  ],
  run: explain,
});

async function explain(context: CommandContext<typeof options>): Promise<number> {
  const { values, stdout } = context;
  if (values.evidence.length + values.claims.length === 0) throw new UsageError("explain needs --evidence or --claims");
  if (values.ref.length > values.evidence.length) throw new UsageError("explain has more --ref than --evidence");
  const evidence = await Promise.all(values.evidence.map((text, place) => readEvidence(text, values.ref[place])));
  const claims = await Promise.all(values.claims.map(readClaims));
  const asked = {
    spiffeId: values["spiffe-id"],
    profile: values.profile,
    delegatedBy: values["delegated-by"],
    binding: values.binding,
    accountThumbprint: values["account-thumbprint"],
    at: values.at,
    evidence,
    claims: claims.flat(),
  };
  const answer = await withRest(context, (rest) => rest.post("/policy/explain", asked));
  const explained = answer as unknown as Explained;
  stdout.write(values.json ? `${JSON.stringify(answer)}\n` : explanationText(explained));
  if (!values.json && values.binding === undefined && explained.evidence.some(({ code }) => code === "bindingMismatch"))
    stdout.write("Evidence that is bound to a request is judged with its binding value: --binding\n");
  return explained.result.allowed ? 0 : 1;
}

/** A token as it is; what is no such text is binary, and travels as base64url. */
async function readEvidence(text: string, ref: string | undefined): Promise<object> {
  const colon = text.indexOf(":");
  const [format, file] = [text.slice(0, Math.max(colon, 0)), text.slice(colon + 1)];
  if (format === "" || file === "") throw new UsageError("--evidence is FORMAT:FILE");
  const octets = await read(file);
  const written = octets.toString("latin1").trim();
  const value = /^[A-Za-z0-9_.-]+$/.test(written) ? written : octets.toString("base64url");
  return { format, value, ...(ref !== undefined && { ref }) };
}

async function readClaims(file: string): Promise<object[]> {
  try {
    const value: unknown = JSON.parse((await read(file)).toString("utf8"));
    return [value].flat() as object[];
  } catch (error) {
    if (error instanceof SyntaxError) throw new Error(`the file ${file} is not JSON`, { cause: error });
    throw error;
  }
}

async function read(file: string): Promise<Buffer> {
  return await readFile(file).catch((error: NodeJS.ErrnoException) => {
    throw new Error(`the file ${file} cannot be read (${error.code})`, { cause: error });
  });
}
