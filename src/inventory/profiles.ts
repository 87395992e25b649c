/** REST over the profiles that certificates were issued under: `/api/v1/profiles/{hash}`. Operator token required. */
import type { FastifyInstance } from "fastify";

import { problem } from "../problem/problem.ts";
import type { ProfileStore } from "./profilePorts.ts";

export function profileRoutes(store: ProfileStore) {
  return async function plugin(server: FastifyInstance): Promise<void> {
    server.get<{ Params: { hash: string } }>("/profiles/:hash", async ({ params }) => {
      if (!/^[0-9a-f]{64}$/.test(params.hash))
        throw problem("restInvalid", "hash is not 64 lower-case hexadecimal digits");
      const record = await store.readProfile(Buffer.from(params.hash, "hex"));
      if (record === undefined) throw problem("restNotFound", "no profile has this hash");
      const { name: _name, ...configuration } = record.configuration;
      return {
        hash: params.hash,
        name: record.name,
        firstSeenAt: record.firstSeenAt.toISOString(),
        configuration,
      };
    });
  };
}
