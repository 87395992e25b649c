/** The section keys.pkcs11: tokens, and how hard they may be used. */
import { Type } from "typebox";

import { file, integer, section } from "./sections.ts";

/** Which token, and how to log in. */
const tokenKeys = {
  module: file("Path of the PKCS#11 module (a shared library)."),
  token: Type.Optional(Type.String({ minLength: 1, maxLength: 32, description: "Token label." })),
  slot: Type.Optional(Type.Integer({ minimum: 0, description: "Slot id, instead of a token label." })),
  pinFile: file("File of the user PIN, mode 0600; or /dev/fd/N, a descriptor that is read once."),
  libraryParameters: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 1000,
      pattern: "^[ -~]*$",
      description: "What the module is told when it is initialized; NSS softoken wants it, others do not.",
    }),
  ),
};

export const pkcs11Section = section({
  ...tokenKeys,
  replicas: Type.Array(section(tokenKeys), {
    default: [],
    maxItems: 7,
    description: "Further tokens with the same keys, for when those before them cannot sign.",
  }),
  replicaRetrySeconds: integer("A token that failed is tried again this often.", 1, 3600, 10),
  signing: Type.Enum(["auto", "inThread", "threads"], {
    default: "auto",
    description: "Where signatures are made: in the thread that serves, or on others. auto measures at the start.",
  }),
  sessions: integer("Sessions that sign at the same time.", 1, 128, 8),
  queueLimit: integer("Signatures that may wait for a session; one more is refused with 503.", 1, 10_000, 512),
  timeoutMs: integer("Longest time for one signature, waiting included.", 100, 60_000, 5_000),
});
