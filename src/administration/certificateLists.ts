/** REST over revocation lists: `/api/v1/certificate-lists`, the ones that stand. Operator token required. */
import type { FastifyInstance } from "fastify";
import { type Static, Type } from "typebox";

import type { PublishedList } from "../authority/certificateListPorts.ts";
import { problem } from "../problem/problem.ts";
import { pageLimit, readPage } from "../rest/page.ts";
import { uuid } from "../rest/parameters.ts";

const listQuery = Type.Object(
  {
    issuer: Type.Optional(uuid),
    limit: pageLimit,
    cursor: Type.Optional(Type.String({ maxLength: 60 })),
  },
  { additionalProperties: false },
);

export interface CertificateListAdministrationOptions {
  /** The lists that stand, by issuer and shard. */
  readonly all: () => Promise<readonly PublishedList[]>;
  /** Undefined for those of an issuer that is not in use any more. */
  readonly urlOf: (list: PublishedList) => string | undefined;
}

export function certificateListAdministration({ all, urlOf }: CertificateListAdministrationOptions) {
  return async function plugin(server: FastifyInstance): Promise<void> {
    server.get<{ Querystring: Static<typeof listQuery> }>(
      "/certificate-lists",
      { schema: { querystring: listQuery } },
      async ({ query }) => {
        const wanted = (await all()).filter(({ issuerId }) => query.issuer === undefined || issuerId === query.issuer);
        const from = query.cursor === undefined ? 0 : behind(wanted, query.cursor);
        const { entries, next } = await readPage(
          query.limit,
          async (most) => wanted.slice(from, from + most),
          (last) => cursorOf(last),
        );
        return { certificateLists: entries.map((list) => listJson(list, urlOf(list))), next };
      },
    );
  };
}

const cursorOf = ({ issuerId, shard }: PublishedList): string => `${issuerId}.${shard}`;

/** @throws {Problem} restInvalid for what `cursorOf` did not make */
function behind(lists: readonly PublishedList[], cursor: string): number {
  const index = lists.findIndex((list) => cursorOf(list) === cursor);
  if (index < 0) throw problem("restInvalid", "this cursor is not one that the list gave out");
  return index + 1;
}

const listJson = (list: PublishedList, url: string | undefined): object => ({
  issuerId: list.issuerId,
  shard: list.shard,
  url: url ?? null,
  number: list.number,
  thisUpdate: list.thisUpdate.toISOString(),
  nextUpdate: list.nextUpdate.toISOString(),
  dueAt: list.dueAt.toISOString(),
  publishedAt: list.publishedAt.toISOString(),
  entries: list.entries,
  sizeBytes: list.size,
  sha256: list.sha256.toString("hex"),
});
