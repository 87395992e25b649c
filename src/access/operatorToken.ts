/** The operator's bearer token: a file on the server, compared in constant time. */
import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { promises as fs } from "node:fs";

import { problem } from "../problem/problem.ts";

export interface OperatorAccess {
  /** @throws {Problem} restUnauthenticated unless the Authorization header carries the token (RFC 6750 §2.1) */
  require(authorization: string | undefined): void;
}

/**
 * Reads the token's file, or makes one with 256 random bits (mode 0600).
 * @throws {Error} when the file is too short to be a secret
 */
export async function openOperatorAccess(file: string): Promise<OperatorAccess> {
  const token = await readOrMake(file);
  if (token.length < 32)
    throw new Error(`the operator token in ${file} is shorter than 32 characters; remove the file to get a new one`);
  const expected = sha256(token);
  return {
    require(authorization) {
      const given = /^Bearer +(\S{1,512})$/i.exec(authorization ?? "")?.[1];
      if (given === undefined || !timingSafeEqual(sha256(given), expected)) {
        throw problem("restUnauthenticated", "the request needs Authorization: Bearer with the operator token", {
          headers: { "www-authenticate": 'Bearer realm="mayfly"' },
        });
      }
    },
  };
}

const sha256 = (text: string): Buffer => createHash("sha256").update(text).digest();

async function readOrMake(file: string): Promise<string> {
  const there = await fs.readFile(file, "utf8").catch((error: unknown) => {
    if (!isFileError(error, "ENOENT")) throw error;
  });
  if (there !== undefined) return there.trim();
  // Whole or not at all: of several servers that start at once with one file, the others read the token of the first.
  const temporary = `${file}.${randomBytes(8).toString("hex")}.new`;
  await fs.writeFile(temporary, `${randomBytes(32).toString("base64url")}\n`, { flag: "wx", mode: 0o600 });
  try {
    await fs.link(temporary, file);
  } catch (error) {
    if (!isFileError(error, "EEXIST")) throw error;
  } finally {
    await fs.unlink(temporary);
  }
  return (await fs.readFile(file, "utf8")).trim();
}

const isFileError = (error: unknown, code: string): boolean =>
  error instanceof Error && "code" in error && error.code === code;
