/**
 * REST over instance pins: `/api/v1/instance-pins`. To which accounts running instances belong, and a way to let one go that belongs to an
 * account whose key is lost. Operator token required.
 */
import type { FastifyInstance } from "fastify";
import { type Static, Type } from "typebox";

import { problem } from "../problem/problem.ts";
import { pageLimit, readPage } from "../rest/page.ts";
import { nameText } from "../rest/parameters.ts";
import type { InstancePin, InstancePinStore, PinKey } from "./pinPorts.ts";

const source = nameText(64);
const instance = nameText(1024);

const listQuery = Type.Object(
  {
    source: Type.Optional(source),
    instance: Type.Optional(instance),
    shared: Type.Optional(Type.Enum(["true", "false"])),
    limit: pageLimit,
    cursor: Type.Optional(Type.String({ pattern: "^[A-Za-z0-9_-]+$", maxLength: 6000 })),
  },
  { additionalProperties: false },
);
const pinQuery = Type.Object({ source, instance }, { additionalProperties: false });

export interface InstancePinRoutesOptions {
  readonly store: InstancePinStore;
}

export function instancePinRoutes({ store }: InstancePinRoutesOptions) {
  return async function plugin(server: FastifyInstance): Promise<void> {
    server.get<{ Querystring: Static<typeof listQuery> }>(
      "/instance-pins",
      { schema: { querystring: listQuery } },
      async ({ query }) => {
        const after = query.cursor === undefined ? undefined : readCursor(query.cursor);
        const filter = { source: query.source, instance: query.instance, shared: query.shared === "true" };
        const { entries, next } = await readPage(query.limit, (most) => store.listPins(filter, after, most), cursorOf);
        return { instancePins: entries.map(pinJson), next };
      },
    );

    server.delete<{ Querystring: Static<typeof pinQuery> }>(
      "/instance-pins",
      { schema: { querystring: pinQuery } },
      async ({ query }, reply) => {
        if (!(await store.releasePin(query))) throw problem("restNotFound", "this instance belongs to no account");
        return reply.code(204).send();
      },
    );
  };
}

const cursorOf = ({ source: of, instance: last }: PinKey): string =>
  Buffer.from(JSON.stringify([of, last])).toString("base64url");

/** @throws {Problem} restInvalid for what `cursorOf` did not make */
function readCursor(cursor: string): PinKey {
  try {
    const value: unknown = JSON.parse(Buffer.from(cursor, "base64url").toString());
    if (Array.isArray(value) && value.length === 2 && value.every((one) => typeof one === "string")) {
      const [of = "", last = ""] = value;
      if (!`${of}${last}`.includes("\0")) return { source: of, instance: last };
    }
  } catch {
    // No JSON: the sentence below says it.
  }
  throw problem("restInvalid", "this cursor is not one that the list gave out");
}

const pinJson = (pin: InstancePin): object => ({
  source: pin.source,
  instance: pin.instance,
  mode: pin.mode,
  most: pin.most,
  accounts: pin.accounts.map((thumbprint) => thumbprint.toString("base64url")),
  shown: pin.shown,
  firstSeenAt: pin.firstSeenAt.toISOString(),
  lastSeenAt: pin.lastSeenAt.toISOString(),
  sharedAt: pin.sharedAt?.toISOString() ?? null,
  expiresAt: pin.expiresAt?.toISOString() ?? null,
});
