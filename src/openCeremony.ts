/** What a ceremony stands on: keys, files, transcript, and the database where a step needs it; a machine that only signs has none. */
import { randomBytes, randomUUID } from "node:crypto";
import { constants, existsSync, readFileSync } from "node:fs";
import { access, link, lstat, mkdir, open, readFile, rm, stat, type FileHandle } from "node:fs/promises";
import path from "node:path";

import type { CeremonyFiles, CeremonyGround, CeremonyStore } from "./authority/ceremony/ground.ts";
import {
  faultOfTranscript,
  openTranscript,
  type Transcript,
  type TranscriptFile,
} from "./authority/ceremony/transcript.ts";
import { runCeremony, type CeremonyConversation, type CeremonyEnd } from "./authority/ceremony/run.ts";
import type { Ceremony } from "./authority/ceremony/steps.ts";
import type { Configuration } from "./config/load.ts";
import { keysOf, openStore, stopInOrder, type Store } from "./foundation.ts";
import { openKeys } from "./keys/open.ts";
import type { KeyProvider } from "./keys/signer.ts";
import { createIssuerCertificates } from "./store/issuerCertificates.ts";
import { createIssuerStore } from "./store/issuers.ts";

export type { CeremonyConversation } from "./authority/ceremony/run.ts";

export interface OpenCeremony {
  /** Where the keys are, for people. */
  keysDescription(): Promise<string>;
  /** Runs the steps; see `runCeremony`. */
  run(ceremony: Ceremony, conversation: CeremonyConversation): Promise<CeremonyEnd>;
  readonly transcript: Transcript;
  readonly transcriptFile: string;
  /** What is wrong with what the transcript has of runs before; undefined where it is sound. */
  readonly transcriptFault: string | undefined;
  close(): Promise<void>;
}

export interface CeremonyPlace {
  /** Names the transcript where `transcriptFile` does not. */
  readonly name: string;
  /** Files of steps are named relative to it. */
  readonly folder: string;
  readonly transcriptFile: string | undefined;
  readonly actor: string;
}

/** Octets of a request or of a chain of certificates; ten large ones have less. */
const fileMax = 262_144;
/** Octets of a transcript; one run has a few thousand. */
const transcriptMax = 16_777_216;
const ownerOnly = 0o077;

/** @throws {Error} where the transcript is open to others, or none of ours */
export async function openCeremony(configuration: Configuration, place: CeremonyPlace): Promise<OpenCeremony> {
  const { trustDomain, dataDir } = configuration;
  const transcriptFile = path.resolve(place.transcriptFile ?? path.join(dataDir, "ceremonies", `${place.name}.txt`));
  const { file, handle } = await openTranscriptFile(transcriptFile);
  const now = (): Date => new Date();
  const transcript = openTranscript(file, now);
  let keys: Promise<KeyProvider> | undefined;
  let store: Promise<Store> | undefined;
  const ground: Omit<CeremonyGround, "announce"> = {
    trustDomain,
    keyLabel: configuration.keys.label,
    crlShards: 16,
    publicUrl: configuration.revocation.publicUrl,
    actor: place.actor,
    now,
    random: randomBytes,
    newId: randomUUID,
    files: filesIn(place.folder),
    keys: () => (keys ??= openKeys(keysOf(configuration))),
    store: async () => storeOf(await (store ??= openStore(configuration, "visitor"))),
  };
  const close = (): Promise<void> =>
    stopInOrder(
      async () => (await keys?.catch(() => undefined))?.close(),
      async () => (await store?.catch(() => undefined))?.close(),
      () => handle.close(),
    );
  return {
    keysDescription: async () => (await ground.keys()).description,
    run: (ceremony, conversation) =>
      runCeremony(ceremony, { ...ground, announce: (line) => conversation.say(`    ${line}`) }, conversation),
    transcript,
    transcriptFile,
    transcriptFault: faultOfTranscript(file.before),
    close,
  };
}

const storeOf = ({ db }: Store): CeremonyStore => ({ ...createIssuerStore(db), ...createIssuerCertificates(db) });

/** Opens, or makes, a file that only its owner may read and that is only written at its end. */
async function openTranscriptFile(name: string): Promise<{ file: TranscriptFile; handle: FileHandle }> {
  await mkdir(path.dirname(name), { recursive: true, mode: 0o700 });
  const flags = constants.O_RDWR | constants.O_APPEND | constants.O_CREAT | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  const handle = await open(name, flags, 0o600).catch((error: NodeJS.ErrnoException) => {
    throw new Error(`the transcript ${name} cannot be written (${error.code})`, { cause: error });
  });
  try {
    const { mode, size } = await handle.stat();
    const isFile = (await handle.stat()).isFile();
    if (!isFile) throw new Error(`the transcript ${name} is not a regular file`);
    if ((mode & ownerOnly) !== 0) throw new Error(`the transcript ${name} is open to others; run: chmod 600 ${name}`);
    if (size > transcriptMax)
      throw new Error(`the transcript ${name} is larger than ${transcriptMax} octets; begin another`);
    const before = await readFile(handle);
    return {
      handle,
      file: {
        before,
        async append(text) {
          await handle.appendFile(text);
          await handle.datasync();
        },
      },
    };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

function filesIn(folder: string): CeremonyFiles {
  const at = (name: string): string => path.resolve(folder, name);
  return {
    async read(name) {
      const found = await stat(at(name)).catch((error: NodeJS.ErrnoException) => {
        if (error.code === "ENOENT") return undefined;
        throw new Error(`the file ${name} cannot be read (${error.code})`, { cause: error });
      });
      if (found === undefined) return undefined;
      if (!found.isFile() || found.size > fileMax) throw new Error(`${name} is no file of at most ${fileMax} octets`);
      return await readFile(at(name), "utf8");
    },
    async requireRoom(name) {
      const fail = (error: NodeJS.ErrnoException): never => {
        throw new Error(`the file ${name} cannot be made (${error.code})`, { cause: error });
      };
      await access(path.dirname(at(name)), constants.W_OK | constants.X_OK).catch(fail);
      const there = await lstat(at(name)).catch((error: NodeJS.ErrnoException) =>
        error.code === "ENOENT" ? undefined : fail(error),
      );
      if (there !== undefined) throw new Error(`the file ${name} cannot be made: something of this name is there`);
    },
    async write(name, text) {
      await writeWhole(at(name), text).catch((error: NodeJS.ErrnoException) => {
        throw new Error(`the file ${name} cannot be made (${error.code})`, { cause: error });
      });
    },
  };
}

/** What a file system says that has no second names for a file, such as those of memory sticks. */
const withoutLinks = new Set(["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS"]);

/** There is nothing of this name, or all of it, whenever the process ends. Never replaces. */
async function writeWhole(file: string, text: string): Promise<void> {
  const folder = path.dirname(file);
  const part = path.join(folder, `.mayfly-${randomBytes(6).toString("hex")}.part`);
  try {
    await writeNew(part, text);
    await link(part, file).catch(async (error: NodeJS.ErrnoException) => {
      if (!withoutLinks.has(error.code ?? "")) throw error;
      await writeNew(file, text);
    });
  } finally {
    await rm(part, { force: true });
  }
  const above = await open(folder, "r");
  try {
    await above.sync();
  } finally {
    await above.close();
  }
}

async function writeNew(file: string, text: string): Promise<void> {
  const handle = await open(file, "wx", 0o644);
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Of this Mayfly, as its package says. */
export function mayflyVersion(): string {
  const candidates = ["../package.json", "../../package.json"].map((name) => path.join(import.meta.dirname, name));
  const found = candidates.find((name) => existsSync(name));
  const read = found === undefined ? {} : (JSON.parse(readFileSync(found, "utf8")) as { version?: string });
  return read.version ?? "unknown";
}
