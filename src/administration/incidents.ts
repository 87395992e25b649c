/**
 * REST over incidents: `/api/v1/incidents`. An operator says which certificates must be replaced early; renewal information (RFC 9773)
 * tells it to their clients at once. Nothing is revoked, and the inventory stays as it is. Operator token required.
 */
import type { FastifyInstance } from "fastify";
import { type Static, Type } from "typebox";

import { problem } from "../problem/problem.ts";
import { pageLimit, readPage } from "../rest/page.ts";
import { digest, nameText, oneLine, readSerial, readTime, readUuid, time, uuid } from "../rest/parameters.ts";
import type { Coverage, Incident, IncidentStore, Selection } from "./incidentPorts.ts";

const selectionSchema = Type.Object(
  {
    serials: Type.Optional(Type.Array(Type.String({ maxLength: 80 }), { minItems: 1, maxItems: 1000 })),
    identity: Type.Optional(nameText(2048)),
    spkiSha256: Type.Optional(digest),
    account: Type.Optional(uuid),
    issuer: Type.Optional(uuid),
    issuedAfter: Type.Optional(time),
    issuedBefore: Type.Optional(time),
  },
  { additionalProperties: false, minProperties: 1 },
);

const incidentSchema = Type.Object(
  {
    reason: oneLine(1000),
    explanationUrl: Type.Optional(Type.String({ pattern: "^https?://[\\x21-\\x7e]+$", maxLength: 2048 })),
    certificates: selectionSchema,
    dryRun: Type.Optional(Type.Boolean()),
  },
  { additionalProperties: false },
);

const listQuery = Type.Object(
  {
    open: Type.Optional(Type.Enum(["true", "false"])),
    limit: pageLimit,
    cursor: Type.Optional(uuid),
  },
  { additionalProperties: false },
);

export interface IncidentRoutesOptions {
  readonly store: IncidentStore;
  readonly externalUrl: string;
  readonly now: () => Date;
  readonly newId: () => string;
}

export function incidentRoutes({ store, externalUrl, now, newId }: IncidentRoutesOptions) {
  return async function plugin(server: FastifyInstance): Promise<void> {
    server.post<{ Body: Static<typeof incidentSchema> }>(
      "/incidents",
      { schema: { body: incidentSchema } },
      async ({ body }, reply) => {
        const { reason, explanationUrl = null, certificates, dryRun = true } = body;
        const selection = selectionOf(certificates, now());
        if (explanationUrl !== null && !URL.canParse(explanationUrl))
          throw problem("restInvalid", "explanationUrl is not a URL");
        if (dryRun) return { dryRun, ...coverageJson(known(await store.coverage(selection, now()))) };
        const made = known(await store.createIncident({ id: newId(), reason, explanationUrl, selection }));
        reply.code(201).header("location", `${externalUrl}/api/v1/incidents/${made.id}`);
        return incidentJson(made);
      },
    );

    server.get<{ Querystring: Static<typeof listQuery> }>(
      "/incidents",
      { schema: { querystring: listQuery } },
      async ({ query }) => {
        const filter = query.open === undefined ? {} : { open: query.open === "true" };
        const { entries, next } = await readPage(
          query.limit,
          (most) => store.listIncidents(filter, query.cursor, most),
          (last) => last.id,
        );
        return { incidents: entries.map(incidentJson), next };
      },
    );

    server.get<{ Params: { id: string } }>("/incidents/:id", async ({ params }) => {
      const incident = required(await store.readIncident(idOf(params.id)));
      const { certificates, replaced } = known(await store.coverage(incident.selection, now()));
      return { ...incidentJson(incident), certificates, replaced };
    });

    server.post<{ Params: { id: string } }>("/incidents/:id/end", async ({ params }) =>
      incidentJson(required(await store.endIncident(idOf(params.id)))),
    );
  };
}

/** @throws {Problem} restInvalid */
function selectionOf(written: Static<typeof selectionSchema>, now: Date): Selection {
  const { serials, identity, spkiSha256, account, issuer } = written;
  const issuedBefore = timeOf(written.issuedBefore, "issuedBefore");
  // Clients renew at once what is covered: a certificate from after the incident would be renewed again and again.
  if (issuedBefore !== null && issuedBefore > now)
    throw problem("restInvalid", "issuedBefore lies in the future: what is renewed would be covered again");
  return {
    serials: serials?.map(readSerial) ?? null,
    identity: identity ?? null,
    spkiSha256: spkiSha256 === undefined ? null : Buffer.from(spkiSha256, "hex"),
    accountId: account ?? null,
    issuerId: issuer ?? null,
    issuedAfter: timeOf(written.issuedAfter, "issuedAfter"),
    issuedBefore,
  };
}

const timeOf = (text: string | undefined, parameter: string): Date | null =>
  text === undefined ? null : readTime(text, parameter);

const idOf = (text: string): string => required(readUuid(text));

/** A name that there is not would leave a part of the selection out, and so cover more than was meant. */
function known<T>(made: T | undefined): T {
  if (made === undefined) throw problem("restInvalid", "no identity has this name");
  return made;
}

function required<T>(found: T | undefined): T {
  if (found === undefined) throw noSuchIncident();
  return found;
}

const noSuchIncident = () => problem("restNotFound", "there is no such incident");

const coverageJson = ({ certificates, replaced, serials }: Coverage): object => ({
  certificates,
  replaced,
  serials: serials.map((serial) => serial.toString("hex")),
});

function incidentJson({ id, reason, explanationUrl, selection, createdAt, endedAt }: Incident): object {
  const { serials, identity, spkiSha256, accountId, issuerId, issuedAfter, issuedBefore } = selection;
  return {
    id,
    reason,
    explanationUrl,
    selection: {
      serials: serials?.map((serial) => serial.toString("hex")) ?? null,
      identity,
      spkiSha256: spkiSha256?.toString("hex") ?? null,
      account: accountId,
      issuer: issuerId,
      issuedAfter: issuedAfter?.toISOString() ?? null,
      issuedBefore: issuedBefore?.toISOString() ?? null,
    },
    createdAt: createdAt.toISOString(),
    endedAt: endedAt?.toISOString() ?? null,
  };
}
