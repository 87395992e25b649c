/**
 * Where a token's PIN is read from: a file, or a descriptor that a supervisor or shell hands over. Nothing here has the PIN as text; it
 * is read again for every login, and not kept.
 */
import { constants, closeSync, fstatSync, openSync, readSync, writeSync } from "node:fs";
import { openSecretFile, requireOwnerOnly } from "./secretFile.ts";

const pinBytesMax = 1024;
const descriptorPattern = /^\/dev\/fd\/(\d{1,4})$/;
const firstDescriptor = 3;

/** A PIN that can be read as often as a login needs it. */
export interface Pin {
  /** For people: the file's path. */
  readonly place: string;
  /**
   * Opens it for one login; `close` is the caller's. `version` tells one content of the file from the next without telling the content;
   * undefined where nothing outside of this process can tell.
   * @throws {Error} missing, open to others, too long: the message never quotes the content
   */
  open(): Promise<OpenedPin>;
  /** Gives up what is held, unless another token has it, too. Idempotent. */
  close(): void;
  /** Instead of `close`, where the token could not be opened: what a descriptor gave stays for the next try. */
  putBack(): void;
}

export interface OpenedPin {
  readonly descriptor: number;
  readonly version: string | undefined;
  close(): Promise<void>;
}

/** What a descriptor gave. */
interface HandedOver {
  /** Of the file of our own that has it. */
  readonly descriptor: number;
  users: number;
}

/** By place: a descriptor gives its PIN once, and by its number somebody else's file may be found later. */
const handedOver = new Map<string, HandedOver>();

/**
 * Finds the PIN. One on a descriptor is taken over: read to its end into a file without a name in memory, and the descriptor closed, since
 * every program that we start would inherit it.
 * @throws {Error} when a descriptor is none, is open to others, or holds too much
 */
export async function openPin(pinFile: string): Promise<Pin> {
  const number = descriptorPattern.exec(pinFile)?.[1];
  if (number === undefined) {
    return { place: pinFile, open: () => openFile(pinFile), close: () => undefined, putBack: () => undefined };
  }
  const known = handedOver.get(pinFile) ?? { descriptor: takeOver(Number(number), pinFile), users: 0 };
  handedOver.set(pinFile, known);
  return pinFrom(pinFile, known);
}

function pinFrom(place: string, known: HandedOver): Pin {
  const { descriptor } = known;
  let held = true;
  known.users += 1;
  function putBack(): void {
    if (held) known.users -= 1;
    held = false;
  }
  return {
    place,
    async open() {
      if (!held) throw new Error(`the PIN from ${place} was given up`);
      return { descriptor, version: undefined, close: async () => undefined };
    },
    close() {
      if (!held) return;
      putBack();
      if (known.users > 0) return;
      handedOver.delete(place);
      closeSync(descriptor);
    },
    putBack,
  };
}

async function openFile(path: string): Promise<OpenedPin> {
  const file = await openSecretFile(path, "PIN file", pinBytesMax);
  if (file === undefined) throw new Error(`there is no PIN file ${path}`);
  const { dev, ino, size, mtimeNs } = await file.stat({ bigint: true });
  return { descriptor: file.fd, version: `${dev}:${ino}:${size}:${mtimeNs}`, close: () => file.close() };
}

/** @returns the descriptor of a file of our own with the same content */
function takeOver(descriptor: number, place: string): number {
  if (descriptor < firstDescriptor)
    throw new Error(`the PIN cannot be read from ${place}: the first that can be is /dev/fd/3`);
  const octets = Buffer.allocUnsafeSlow(pinBytesMax + 1);
  try {
    const found = fstatSync(descriptor);
    if (found.isFile()) requireOwnerOnly(place, found, "PIN file");
    else if (!found.isFIFO() && !found.isSocket())
      throw new Error(`${place} is neither a pipe nor a file with the PIN`);
    const length = readToEnd(descriptor, octets);
    closeSync(descriptor);
    if (length > pinBytesMax) throw new Error(`the PIN in ${place} is larger than ${pinBytesMax} bytes`);
    const own = unnamedFile();
    writeSync(own, octets, 0, length, 0);
    return own;
  } catch (error) {
    // EAGAIN: a descriptor of Node's own, which has none of ours.
    if (error instanceof Error && "code" in error && (error.code === "EBADF" || error.code === "EAGAIN")) {
      throw new Error(
        `there is no PIN in ${place}: nothing was handed over there; start with, for example, ${descriptor}< FILE`,
        { cause: error },
      );
    }
    throw error;
  } finally {
    octets.fill(0);
  }
}

function readToEnd(descriptor: number, octets: Buffer): number {
  let length = 0;
  while (length < octets.length) {
    const read = readSync(descriptor, octets, length, octets.length - length, null);
    if (read === 0) break;
    length += read;
  }
  return length;
}

/** O_TMPFILE of Linux, which Node does not name: a file that no folder lists, gone with the process. */
const withoutName = 0o20_200_000;

/** In memory, and yet not in the memory of this process, which a core dump would show. */
function unnamedFile(): number {
  try {
    return openSync("/dev/shm", constants.O_RDWR | withoutName, 0o600);
  } catch (error) {
    throw new Error("a PIN from a descriptor needs /dev/shm, which cannot be written here; use a PIN file", {
      cause: error,
    });
  }
}
