/** Pieces of sources' settings that several formats have, so that each has one form and one limit. */
import { Type } from "typebox";

/** Path of a file or folder. */
export const requiredPath = (description?: string) =>
  Type.String({ minLength: 1, maxLength: 4096, ...(description !== undefined && { description }) });

/** One that may be left out. */
export const optionalPath = (description: string) => Type.Optional(requiredPath(description));

/** SHA-256 in lower-case hex. */
export const sha256Form = "^[0-9a-f]{64}$";
/** A digest of SHA-256, SHA-384 or SHA-512 in lower-case hex. */
export const digestForm = "^([0-9a-f]{64}|[0-9a-f]{96}|[0-9a-f]{128})$";
/** A UUID in lower case. */
export const uuidForm = "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$";
