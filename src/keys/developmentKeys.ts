/**
 * Development keys: one encrypted PKCS#8 file per key (RFC 5958), the passphrase in a file beside them.
 *
 * Whoever reads both files has the key; encryption only keeps a lone backup or a pasted file from being one. Fit for development,
 * and the server says so.
 */
import { createPrivateKey, createPublicKey, generateKeyPair, randomBytes, type KeyObject } from "node:crypto";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { algorithmOfKind, chosenAlgorithm, signWith } from "./keyAlgorithms.ts";
import { createSecretFile, fileErrorCode, ownerOnlyDirectory, readSecretFile } from "./secretFile.ts";
import type { KeyKind, KeyProvider, SignatureAlgorithm, Signer, WantedKey } from "./signer.ts";

const suffix = ".pem";
const passphraseBytes = 32;
const passphraseFileBytesMax = 1024;
const keyFileBytesMax = 16_384;
/** `find` by public key opens every file, so there may not be any number of them. */
const keyFilesMax = 1000;

/** A label is a file name: no separators, no leading dot, bounded. */
const labelPattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

/** Where the development keys are. */
export interface DevelopmentKeysOptions {
  /** Made with mode 0700 when absent. */
  readonly directory: string;
  /** Made with 256 random bits when absent, as long as the directory holds no key. */
  readonly passphraseFile: string;
}

/** A key file that was opened. */
interface KeyFile {
  readonly label: string;
  readonly path: string;
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
  readonly spki: Buffer;
}

/**
 * Opens the development key directory.
 * @throws {Error} when a file or the directory is open to others, or keys are there and their passphrase is not
 */
export async function openDevelopmentKeys({ directory, passphraseFile }: DevelopmentKeysOptions): Promise<KeyProvider> {
  await ownerOnlyDirectory(directory, "key directory");
  const passphrase = await openPassphrase(directory, passphraseFile);
  const opened = new Map<string, KeyFile>();

  async function load(label: string): Promise<KeyFile> {
    const known = opened.get(label);
    if (known) return known;
    const path = join(directory, label + suffix);
    const pem = await readSecretFile(path, "key file", keyFileBytesMax);
    if (pem === undefined) throw new Error(`the key file ${path} vanished while it was opened`);
    const privateKey = decrypt(pem, passphrase, path);
    const publicKey = createPublicKey(privateKey);
    const file = { label, path, privateKey, publicKey, spki: publicKey.export({ type: "spki", format: "der" }) };
    opened.set(label, file);
    return file;
  }

  async function fileOf({ label, spki }: WantedKey): Promise<KeyFile | undefined> {
    if (spki !== undefined) {
      for (const each of await labelsIn(directory)) {
        const file = await load(each);
        if (file.spki.equals(spki)) return file;
      }
      return undefined;
    }
    if (label === undefined) throw new Error("a key is found by public key or by label, and neither was given");
    requireLabel(label);
    return (await labelsIn(directory)).includes(label) ? load(label) : undefined;
  }

  return {
    description: `development key files in ${directory}`,
    development: true,

    async generate(label, kind) {
      requireLabel(label);
      const path = join(directory, label + suffix);
      await createSecretFile(path, await newEncryptedKey(kind, passphrase)).catch((error: unknown) => {
        if (fileErrorCode(error) === "EEXIST") throw new Error(`the label "${label}" is taken: ${path} exists`);
        throw error;
      });
      return signerOf(await load(label), algorithmOfKind[kind]);
    },

    async find(wanted) {
      const file = await fileOf(wanted);
      return file && signerOf(file, wanted.algorithm);
    },

    async close() {
      opened.clear();
    },
  };
}

async function openPassphrase(directory: string, passphraseFile: string): Promise<string> {
  const content = await readPassphrase(passphraseFile);
  if (content !== undefined) return content;

  // A new passphrase would open none of the keys that are there, and hide that the right one is lost.
  if ((await labelsIn(directory)).length > 0) {
    throw new Error(
      `the passphrase file ${passphraseFile} is missing, but ${directory} holds keys that need it; bring the file back`,
    );
  }
  await createSecretFile(passphraseFile, `${randomBytes(passphraseBytes).toString("base64url")}\n`).catch(
    (error: unknown) => {
      // Another process was first: its passphrase is as good as ours, and the keys will be under it.
      if (fileErrorCode(error) === "EEXIST") return;
      throw new Error(`cannot make the passphrase file ${passphraseFile}: ${fileErrorCode(error) ?? "unknown error"}`);
    },
  );
  const created = await readPassphrase(passphraseFile);
  if (created === undefined) throw new Error(`the passphrase file ${passphraseFile} vanished while it was opened`);
  return created;
}

/** Resolves to undefined when there is no such file. */
async function readPassphrase(passphraseFile: string): Promise<string | undefined> {
  const content = await readSecretFile(passphraseFile, "passphrase file", passphraseFileBytesMax);
  if (content === undefined) return undefined;
  const passphrase = content.trim();
  if (passphrase === "") throw new Error(`the passphrase file ${passphraseFile} is empty`);
  return passphrase;
}

async function labelsIn(directory: string): Promise<string[]> {
  const files = await readdir(directory);
  const labels = files.filter((name) => name.endsWith(suffix)).map((name) => name.slice(0, -suffix.length));
  if (labels.length > keyFilesMax) throw new Error(`${directory} holds more than ${keyFilesMax} key files`);
  return labels.filter((label) => labelPattern.test(label)).sort();
}

/** Whether a key file can have this label. */
export function isKeyFileLabel(label: string): boolean {
  return labelPattern.test(label);
}

function requireLabel(label: string): void {
  if (isKeyFileLabel(label)) return;
  throw new Error(
    `${JSON.stringify(label)} is no label for a key file: 1 to 64 letters, digits, ".", "_" or "-", not starting with a sign`,
  );
}

/** PEM "ENCRYPTED PRIVATE KEY": PBES2 with AES-256-CBC. */
async function newEncryptedKey(kind: KeyKind, passphrase: string): Promise<string> {
  const { privateKey } = await newKeyPair[kind]();
  return privateKey.export({ type: "pkcs8", format: "pem", cipher: "aes-256-cbc", passphrase }).toString();
}

const newKeyPair: Record<KeyKind, () => Promise<{ privateKey: KeyObject }>> = {
  "ec-p256": () => promisify(generateKeyPair)("ec", { namedCurve: "P-256" }),
  "ec-p384": () => promisify(generateKeyPair)("ec", { namedCurve: "P-384" }),
  "rsa-3072": () => newRsaKey(3072),
  "rsa-4096": () => newRsaKey(4096),
  "rsa-3072-pss": () => newRsaKey(3072),
  "rsa-4096-pss": () => newRsaKey(4096),
  ed25519: () => promisify(generateKeyPair)("ed25519"),
  "ml-dsa-44": () => promisify(generateKeyPair)("ml-dsa-44"),
  "ml-dsa-65": () => promisify(generateKeyPair)("ml-dsa-65"),
  "ml-dsa-87": () => promisify(generateKeyPair)("ml-dsa-87"),
};

/** Also for PSS: certificates carry its keys as rsaEncryption, since many readers know no other (RFC 4055 §1.2 allows both). */
function newRsaKey(modulusLength: number): Promise<{ privateKey: KeyObject }> {
  return promisify(generateKeyPair)("rsa", { modulusLength });
}

function decrypt(pem: string, passphrase: string, path: string): KeyObject {
  // Node would take an unencrypted key as well, and nobody would notice that it lies there in the clear.
  if (!pem.startsWith("-----BEGIN ENCRYPTED PRIVATE KEY-----"))
    throw new Error(`the key file ${path} is not an encrypted PKCS#8 PEM`);
  try {
    return createPrivateKey({ key: pem, passphrase });
  } catch {
    // The cause says nothing more (OpenSSL's "bad decrypt"), and this message must be about files only.
    throw new Error(`the passphrase does not open the key file ${path}, or the file is damaged`);
  }
}

/** @throws {Error} when the key may not issue, or not with this algorithm */
function signerOf({ label, path, privateKey, publicKey, spki }: KeyFile, wanted?: SignatureAlgorithm): Signer {
  const algorithm = chosenAlgorithm(publicKey, wanted, `the key in ${path}`);
  return {
    label,
    algorithm,
    publicKey,
    spki,
    // `sign` of node:crypto gives DER Ecdsa-Sig-Value for ECDSA, as the port wants it.
    sign: async (message) => signWith(algorithm, privateKey, message),
  };
}
