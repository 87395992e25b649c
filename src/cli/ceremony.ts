/** `mayfly ceremony`: makes roots and issuing CAs step by step, asked for on a terminal or written in a file, with a transcript. */
import { createHash } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";

import type { Ceremony } from "../config/ceremonyFile.ts";
import type { CeremonyConversation, OpenCeremony } from "../openCeremony.ts";
import { askForCeremony } from "./ceremonyQuestions.ts";
import { defineCommand, UsageError, type CommandContext } from "./command.ts";
import { configOption } from "./configurationOption.ts";
import { isTerminal, prompterOn, type Prompter } from "./prompter.ts";

const options = {
  ...configOption,
  file: { type: "string", value: "FILE", description: "the ceremony, in YAML; without it, questions are asked" },
  yes: { type: "boolean", description: "agree to every step; only with --file" },
  write: {
    type: "string",
    value: "FILE",
    defaultText: "asked for",
    description: "where what was answered is written, to be run again with --file",
  },
  operator: { type: "string", value: "NAME", multiple: true, description: "who is there, for the transcript" },
  transcript: {
    type: "string",
    value: "FILE",
    defaultText: "ceremonies/NAME.txt in the data directory",
    description: "the transcript; one that is there is continued",
  },
  pkcs11: {
    type: "string",
    value: "MODULE",
    env: "MAYFLY_PKCS11_MODULE",
    description: "keys in a token, through this PKCS#11 module",
  },
  token: { type: "string", value: "LABEL", env: "MAYFLY_PKCS11_TOKEN", description: "label of the token" },
  "pin-file": {
    type: "string",
    value: "FILE",
    env: "MAYFLY_PKCS11_PIN_FILE",
    description: "file of the user PIN, mode 0600",
  },
} as const;

export const command = defineCommand({
  name: "ceremony",
  summary: "make roots and issuing CAs step by step: root in a token, offline, or another PKI's; cross-signing",
  usage: "[--config FILE] [--file FILE [--yes]] [OPTION …]",
  description:
    "Walks through root and issuing CAs. Each step says what it will do and is agreed to, is linted before it is signed, and prints what was made with its fingerprints; everything goes into a transcript. What was done before is not done again: a ceremony that was cut off, or that waits for a file from another machine, is run again and goes on. A machine that only signs needs keys and no database. Exit status 3: a step waits for a file from elsewhere.",
  options,
  examples: [
    { does: "be asked", command: "mayfly ceremony --config /etc/mayfly/mayfly.yaml" },
    { does: "run one that is written down", command: "mayfly ceremony --file ceremony.yaml --operator 'Ada Lovelace'" },
    { does: "without questions", command: "mayfly ceremony --file ceremony.yaml --yes" },
  ],
  run: hold,
});

type Context = CommandContext<typeof options>;

/** What a caller sees of a ceremony that waits. */
const waitingStatus = 3;

async function hold(context: Context): Promise<number> {
  const { values, env, stdin, stdout } = context;
  const { file, yes } = values;
  if (yes && file === undefined)
    throw new UsageError("ceremony takes --yes with --file alone: there is nothing to agree to yet");
  if (values.write !== undefined && file !== undefined)
    throw new UsageError("ceremony takes --write or --file, not both: the file is written already");
  if (!yes && !isTerminal(stdin))
    throw new UsageError(
      file === undefined
        ? "ceremony asks on a terminal; give --file FILE --yes where there is none"
        : "ceremony asks for agreement on a terminal; give --yes where there is none",
    );
  const { loadConfiguration } = await import("../config/load.ts");
  const configuration = loadConfiguration(values.config, {
    ...env,
    MAYFLY_PKCS11_MODULE: values.pkcs11,
    MAYFLY_PKCS11_TOKEN: values.token,
    MAYFLY_PKCS11_PIN_FILE: values["pin-file"],
  });
  const prompter = yes ? undefined : prompterOn(stdin, stdout);
  try {
    const written = await writtenCeremony(context, configuration, prompter);
    const { openCeremony } = await import("../openCeremony.ts");
    const operators = [...new Set([...written.ceremony.operators, ...values.operator])];
    const opened = await openCeremony(configuration, {
      name: written.ceremony.name,
      folder: dirname(resolve(written.file)),
      transcriptFile: values.transcript,
      actor: `ceremony:${operators.join(", ") || written.ceremony.name}`,
    });
    try {
      const ceremony = { ...written.ceremony, operators };
      return await run({ ...written, ceremony }, opened, configuration.trustDomain, prompter, context);
    } finally {
      await opened.close();
    }
  } finally {
    prompter?.close();
  }
}

interface WrittenCeremony {
  readonly ceremony: Ceremony;
  readonly file: string;
  readonly text: string;
}

/** What is in the file; or what was answered, which is in a file then. */
async function writtenCeremony(
  { values, stdout }: Context,
  configuration: Parameters<typeof askForCeremony>[1],
  prompter: Prompter | undefined,
): Promise<WrittenCeremony> {
  const { readCeremonyFile, writeCeremony } = await import("../config/ceremonyFile.ts");
  const { file } = values;
  if (file !== undefined) {
    const text = await readFile(file, "utf8").catch((error: NodeJS.ErrnoException) => {
      throw new Error(`the file ${file} cannot be read (${error.code})`, { cause: error });
    });
    return { ceremony: readCeremonyFile(text, file), file, text };
  }
  if (prompter === undefined) throw new TypeError("a ceremony is in a file, or is asked for");
  const ceremony = await askForCeremony(prompter, configuration);
  const target = values.write ?? (await prompter.ask("Write this ceremony to", `${ceremony.name}.yaml`));
  const text = writeCeremony(ceremony);
  readCeremonyFile(text, target); // What was answered is held against the same rules as what is written by hand.
  await writeFile(target, text, { flag: "wx" }).catch((error: NodeJS.ErrnoException) => {
    throw new Error(`the file ${target} cannot be made (${error.code})`, { cause: error });
  });
  stdout.write(`\n${text}\nWritten to ${target}; run it again with: mayfly ceremony --file ${target}\n\n`);
  return { ceremony, file: target, text };
}

async function run(
  { ceremony, file, text }: WrittenCeremony,
  opened: OpenCeremony,
  trustDomain: string,
  prompter: Prompter | undefined,
  { stdout, values }: Context,
): Promise<number> {
  const { mayflyVersion } = await import("../openCeremony.ts");
  const { transcript, transcriptFile, transcriptFault } = opened;
  const say = async (line: string): Promise<void> => {
    stdout.write(`${line}\n`);
    await transcript.write(line);
  };
  await say(`Ceremony ${ceremony.name}`);
  if (transcriptFault !== undefined) await say(`  NOTE        ${transcriptFault}`);
  await say(`  mayfly      ${mayflyVersion()}, Node ${process.versions.node}, OpenSSL ${process.versions.openssl}`);
  await say(`  file        ${resolve(file)}, SHA-256 ${createHash("sha256").update(text).digest("hex")}`);
  await say(`  operators   ${ceremony.operators.join(", ") || "nobody was named"}`);
  await say(`  domain      spiffe://${trustDomain}`);
  const conversation: CeremonyConversation = {
    say,
    async agree() {
      if (prompter === undefined) {
        await transcript.write("  agreed to by --yes");
        return true;
      }
      const agreed = await prompter.agree("  Do this?");
      await transcript.write(agreed ? "  agreed to at the terminal" : "  not agreed to at the terminal");
      return agreed;
    },
  };
  try {
    await say(`  keys        ${await opened.keysDescription()}`);
    const end = await opened.run(ceremony, conversation);
    await say(
      end === "done"
        ? "The ceremony is done."
        : end === "waiting"
          ? "The ceremony waits."
          : "The ceremony was stopped.",
    );
    return end === "done" ? 0 : end === "waiting" ? waitingStatus : 1;
  } catch (error) {
    await transcript.write(`failed: ${(error as Error).message}`);
    throw error;
  } finally {
    await transcript.finish();
    if (!values.yes || values.transcript === undefined) stdout.write(`Transcript: ${transcriptFile}\n`);
  }
}
