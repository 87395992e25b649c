/**
 * C_Login in a thread of its own (started by pkcs11Module.ts), so that the PIN is in no lasting memory of the process, and so in no core
 * dump, heap snapshot or log of it. The module wants the PIN as text, and text cannot be wiped: so this thread writes over all that it
 * had before it ends. Login is a state of the process (PKCS#11 v2.40 §5.6): the other threads are logged in as well.
 */
import { fstatSync, readSync } from "node:fs";
import { parentPort, workerData } from "node:worker_threads";
import pkcs11 from "pkcs11js";

/** What the thread is told. */
export interface PinLogin {
  /** Path of the module, initialized in this process. */
  readonly module: string;
  readonly session: Uint8Array;
  /** Descriptor of a file that holds the PIN. */
  readonly pin: number;
}

/** Numbers of 16 octets each: some times the thread's young generation. */
const numbersWritten = 1_000_000;

/** @returns octets of the PIN, without one trailing line end */
function lengthOf(octets: Buffer): number {
  const line = octets.at(-1) === 0x0a ? octets.length - 1 : octets.length;
  return line < octets.length && octets[line - 1] === 0x0d ? line - 1 : line;
}

function logIn({ module, session, pin }: PinLogin): string {
  const octets = Buffer.allocUnsafeSlow(fstatSync(pin).size);
  const handle = Buffer.from(session);
  const cryptoki = new pkcs11.PKCS11(module);
  try {
    readSync(pin, octets, 0, octets.length, 0);
    const length = lengthOf(octets);
    if (length === 0) return "empty";
    try {
      cryptoki.C_Login(handle, pkcs11.CKU_USER, octets.toString("utf8", 0, length));
      return "CKR_OK";
    } finally {
      writeOverText(cryptoki, handle, length);
    }
  } catch (error) {
    // The name of the value only: whatever else an error of the binding quotes stays here.
    return (error instanceof Error ? /^CKR_\w+/.exec(error.message)?.[0] : undefined) ?? "unknown error";
  } finally {
    octets.fill(0);
  }
}

/** The binding copies text to memory of its own and frees it as it is: the next text of that length comes to lie there. */
function writeOverText(cryptoki: pkcs11.PKCS11, session: Buffer, length: number): void {
  try {
    cryptoki.C_FindObjectsInit(session, [{ type: pkcs11.CKA_LABEL, value: "-".repeat(length) }]);
    cryptoki.C_FindObjectsFinal(session);
  } catch {
    // It was written there all the same.
  }
}

/**
 * The young generation takes its pages in turn. Numbers are the smallest that it holds, so that a page is full to its last octets: whatever is
 * larger leaves an end as it was, and the PIN may lie there.
 */
function writeOverYoung(): unknown {
  const last: unknown[] = Array.from({ length: 64 }, () => null);
  for (let count = 0; count < numbersWritten; count += 1) last[count % last.length] = count + 0.5;
  return last;
}

writeOverYoung(); // Pages that only the start of a thread uses would not be written again.
const returned = logIn(workerData as PinLogin);
writeOverYoung();
parentPort?.postMessage(returned, []);
