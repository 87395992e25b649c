/**
 * REST over blocked keys: `/api/v1/blocked-keys`, by the SHA-256 of their SubjectPublicKeyInfo. No account, order or certificate is made
 * with one. Operator token required.
 */
import type { FastifyInstance } from "fastify";
import { type Static, Type } from "typebox";

import type { OperatorAccess } from "../access/operatorToken.ts";
import { problem } from "../problem/problem.ts";
import type { BlockedKey, BlockedKeyStore } from "./limitPorts.ts";

const digest = Type.String({ pattern: "^[0-9a-fA-F]{64}$" });
const blockSchema = Type.Object(
  {
    spkiSha256: digest,
    note: Type.Optional(Type.String({ pattern: "^[^\\u0000-\\u001f\\u007f]+$", maxLength: 1000 })),
  },
  { additionalProperties: false },
);
const listQuery = Type.Object(
  { limit: Type.Optional(Type.String({ pattern: "^([1-9][0-9]{0,2}|1000)$" })), cursor: Type.Optional(digest) },
  { additionalProperties: false },
);

const pageDefault = 100;

export interface BlockedKeyRoutesOptions {
  readonly store: BlockedKeyStore;
  readonly access: OperatorAccess;
  readonly externalUrl: string;
}

export function blockedKeyRoutes({ store, access, externalUrl }: BlockedKeyRoutesOptions) {
  return async function plugin(server: FastifyInstance): Promise<void> {
    server.addHook("onRequest", async (request, reply) => {
      access.require(request.headers.authorization);
      reply.header("cache-control", "no-store");
    });

    server.post<{ Body: Static<typeof blockSchema> }>(
      "/blocked-keys",
      { schema: { body: blockSchema } },
      async ({ body: { spkiSha256, note = null } }, reply) => {
        const { created, key } = await store.block(Buffer.from(spkiSha256, "hex"), note);
        reply.code(created ? 201 : 200);
        reply.header("location", `${externalUrl}/api/v1/blocked-keys/${key.spkiSha256.toString("hex")}`);
        return keyJson(key);
      },
    );

    server.get<{ Querystring: Static<typeof listQuery> }>(
      "/blocked-keys",
      { schema: { querystring: listQuery } },
      async ({ query: { limit, cursor } }) => {
        const size = limit === undefined ? pageDefault : Number(limit);
        const found = await store.listBlockedKeys(
          cursor === undefined ? undefined : Buffer.from(cursor, "hex"),
          size + 1,
        );
        const page = found.slice(0, size);
        return {
          blockedKeys: page.map(keyJson),
          ...(found.length > size && { next: page.at(-1)?.spkiSha256.toString("hex") }),
        };
      },
    );

    server.get<{ Params: { digest: string } }>("/blocked-keys/:digest", async ({ params }) => {
      const key = await store.readBlockedKey(digestOf(params.digest));
      if (key === undefined) throw notBlocked();
      return keyJson(key);
    });

    server.delete<{ Params: { digest: string } }>("/blocked-keys/:digest", async ({ params }, reply) => {
      if (!(await store.unblock(digestOf(params.digest)))) throw notBlocked();
      return reply.code(204).send();
    });
  };
}

function digestOf(text: string): Buffer {
  if (!/^[0-9a-fA-F]{64}$/.test(text)) throw notBlocked();
  return Buffer.from(text, "hex");
}

const notBlocked = () => problem("restNotFound", "this key is not blocked");

const keyJson = ({ spkiSha256, reason, note, blockedBy, blockedAt }: BlockedKey): object => ({
  spkiSha256: spkiSha256.toString("hex"),
  reason,
  note,
  blockedBy,
  blockedAt: blockedAt.toISOString(),
});
