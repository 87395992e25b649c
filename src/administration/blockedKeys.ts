/**
 * REST over blocked keys: `/api/v1/blocked-keys`, by the SHA-256 of their SubjectPublicKeyInfo. No account, order or certificate is made
 * with one. Operator token required.
 */
import type { FastifyInstance } from "fastify";
import { type Static, Type } from "typebox";

import { problem } from "../problem/problem.ts";
import { pageLimit, readPage } from "../rest/page.ts";
import { digest, oneLine, readDigest } from "../rest/parameters.ts";
import type { BlockedKey, BlockedKeyStore } from "./limitPorts.ts";

const blockSchema = Type.Object(
  { spkiSha256: digest, note: Type.Optional(oneLine(1000)) },
  { additionalProperties: false },
);
const listQuery = Type.Object({ limit: pageLimit, cursor: Type.Optional(digest) }, { additionalProperties: false });

export interface BlockedKeyRoutesOptions {
  readonly store: BlockedKeyStore;
  readonly externalUrl: string;
}

export function blockedKeyRoutes({ store, externalUrl }: BlockedKeyRoutesOptions) {
  return async function plugin(server: FastifyInstance): Promise<void> {
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
      async ({ query }) => {
        const after = query.cursor === undefined ? undefined : Buffer.from(query.cursor, "hex");
        const { entries, next } = await readPage(
          query.limit,
          (most) => store.listBlockedKeys(after, most),
          (last) => last.spkiSha256.toString("hex"),
        );
        return { blockedKeys: entries.map(keyJson), next };
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
  const found = readDigest(text);
  if (found === undefined) throw notBlocked();
  return found;
}

const notBlocked = () => problem("restNotFound", "this key is not blocked");

const keyJson = ({ spkiSha256, reason, note, blockedBy, blockedAt }: BlockedKey): object => ({
  spkiSha256: spkiSha256.toString("hex"),
  reason,
  note,
  blockedBy,
  blockedAt: blockedAt.toISOString(),
});
