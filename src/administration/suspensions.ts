/**
 * REST over suspensions: `/api/v1/suspensions`. A revocation by grant, evidence source or issuer leaves one: nothing is issued by it, on any
 * server, until it is lifted. Operator token required.
 */
import type { FastifyInstance } from "fastify";
import { type Static, Type } from "typebox";

import { problem } from "../problem/problem.ts";
import { pageLimit, readPage } from "../rest/page.ts";
import { readUuid, uuid } from "../rest/parameters.ts";
import type { Suspension, SuspensionStore } from "./revocationPorts.ts";

const listQuery = Type.Object(
  { open: Type.Optional(Type.Enum(["true", "false"])), limit: pageLimit, cursor: Type.Optional(uuid) },
  { additionalProperties: false },
);

export function suspensionRoutes({ store }: { readonly store: SuspensionStore }) {
  return async function plugin(server: FastifyInstance): Promise<void> {
    server.get<{ Querystring: Static<typeof listQuery> }>(
      "/suspensions",
      { schema: { querystring: listQuery } },
      async ({ query }) => {
        const open = query.open === undefined ? undefined : query.open === "true";
        const { entries, next } = await readPage(
          query.limit,
          (most) => store.list(open, query.cursor, most),
          (last) => last.id,
        );
        return { suspensions: entries.map(suspensionJson), next };
      },
    );

    server.delete<{ Params: { id: string } }>("/suspensions/:id", async ({ params }) => {
      const id = readUuid(params.id);
      const lifted = id === undefined ? undefined : await store.lift(id);
      if (lifted === undefined) throw problem("restNotFound", "there is no such suspension");
      return suspensionJson(lifted);
    });
  };
}

const suspensionJson = (one: Suspension): object => ({
  ...one,
  createdAt: one.createdAt.toISOString(),
  liftedAt: one.liftedAt?.toISOString() ?? null,
});
