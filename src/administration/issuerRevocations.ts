/** REST: an issuing CA revoked by its root, a dry run first. Operator token required. */
import type { FastifyInstance } from "fastify";
import { type Static, Type } from "typebox";

import type { IssuerRevocationOutlook } from "../authority/revokeIssuer.ts";
import { IssuerNotRevoked } from "../authority/revokeIssuer.ts";
import { problem } from "../problem/problem.ts";
import { oneLine, readUuid } from "../rest/parameters.ts";
import { reasonCode, revocationReasons } from "../x509/revocationReason.ts";

const revokeSchema = Type.Object(
  {
    reason: Type.Enum([...revocationReasons]),
    note: oneLine(1000),
    dryRun: Type.Optional(Type.Boolean()),
    force: Type.Optional(Type.Boolean()),
  },
  { additionalProperties: false },
);

export interface IssuerRevocationRoutesOptions {
  /** What it would mean; undefined where there is no such issuer. @throws {IssuerNotRevoked} */
  readonly outlook: (id: string) => Promise<IssuerRevocationOutlook | undefined>;
  /** Resolves to what was done. @throws {IssuerNotRevoked} */
  readonly revoke: (
    id: string,
    said: { reason: number; note: string; actor: string; anyway: boolean },
  ) => Promise<IssuerRevocationOutlook>;
  /** Certificates in force of an issuing CA. */
  readonly outstanding: (id: string) => Promise<number>;
}

export function issuerRevocationRoutes({ outlook, revoke, outstanding }: IssuerRevocationRoutesOptions) {
  return async function plugin(server: FastifyInstance): Promise<void> {
    server.post<{ Params: { id: string }; Body: Static<typeof revokeSchema> }>(
      "/issuers/:id/revoke",
      { schema: { body: revokeSchema } },
      async ({ params, body: { reason, note, dryRun = false, force = false } }) => {
        const id = readUuid(params.id);
        try {
          const found = id === undefined ? undefined : await outlook(id);
          if (id === undefined || found === undefined) throw problem("restNotFound", "there is no such issuer");
          const said = { reason: reasonCode(reason), note, actor: "operator", anyway: force };
          const answer = dryRun ? found : await revoke(id, said);
          return { ...outlookJson(answer), certificates: await outstanding(id), dryRun };
        } catch (error) {
          if (error instanceof IssuerNotRevoked) throw problem("restConflict", error.message);
          throw error;
        }
      },
    );
  };
}

const outlookJson = ({ issuer, serialNumber, rootId, listUrl, next, stopsLine }: IssuerRevocationOutlook): object => ({
  id: issuer.id,
  name: issuer.name,
  generation: issuer.generation,
  serial: serialNumber.toString("hex"),
  root: rootId,
  listUrl,
  next: next?.id ?? null,
  stopsLine,
});
