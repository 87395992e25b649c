/** REST over the inventory: `/api/v1/certificates`, `/api/v1/certificates/{serial}`, `/api/v1/identities`. Operator token required. */
import type { FastifyInstance, FastifyReply } from "fastify";
import { type Static, Type } from "typebox";

import { preferredType } from "../encoding/accept.ts";
import { problem } from "../problem/problem.ts";
import { pageLimit, readPage } from "../rest/page.ts";
import { nameText, readSerial, readTime, time, uuid } from "../rest/parameters.ts";
import { canonicalDnsName, NameError } from "../x509/names.ts";
import { pemEncode } from "../x509/pem.ts";
import { readCursor, writeCursor } from "./cursor.ts";
import { certificateJson, identityJson } from "./json.ts";
import type { CertificateFilter, InventoryStore } from "./ports.ts";

const cursor = Type.Optional(Type.String({ maxLength: 4200, description: "`next` of the page before." }));
const name = Type.Optional(nameText(2048));

const certificateQuery = Type.Object(
  {
    spiffeId: name,
    spiffeIdPrefix: name,
    permanentIdentifier: name,
    dnsName: name,
    serial: Type.Optional(Type.String({ maxLength: 80 })),
    state: Type.Optional(Type.Enum(["valid", "expired", "revoked"])),
    issuedAfter: Type.Optional(time),
    issuedBefore: Type.Optional(time),
    expiresAfter: Type.Optional(time),
    expiresBefore: Type.Optional(time),
    incident: Type.Optional(uuid),
    delegationSource: Type.Optional(Type.String({ maxLength: 40 })),
    task: Type.Optional(nameText(1024)),
    delegator: Type.Optional(nameText(1024)),
    limit: pageLimit,
    cursor,
  },
  { additionalProperties: false },
);
const identityQuery = Type.Object({ prefix: name, limit: pageLimit, cursor }, { additionalProperties: false });

export interface InventoryRoutesOptions {
  readonly store: InventoryStore;
  readonly externalUrl: string;
  /** The pseudonym of a task or delegator as a source names it. @throws {Problem} restInvalid */
  readonly delegationOf: (asked: {
    source: string;
    task?: string | undefined;
    delegator?: string | undefined;
  }) => Buffer;
  readonly chainPemOf: (issuerId: string) => string | undefined;
  readonly now: () => Date;
}

export function inventoryRoutes({ store, externalUrl, chainPemOf, delegationOf, now }: InventoryRoutesOptions) {
  return async function plugin(server: FastifyInstance): Promise<void> {
    server.get<{ Querystring: Static<typeof certificateQuery> }>(
      "/certificates",
      { schema: { querystring: certificateQuery } },
      async ({ query }) => {
        const position = query.cursor === undefined ? undefined : readCursor(query.cursor);
        const { entries, next } = await readPage(
          query.limit,
          (most) =>
            store.findCertificates({ ...filterOf(query), ...delegated(query, delegationOf) }, position, most, now()),
          (last) => writeCursor({ at: last.issuedAt, key: last.serial.toString("hex") }),
        );
        return { certificates: entries.map((record) => certificateJson(record, now())), next };
      },
    );

    server.get<{ Params: { serial: string } }>("/certificates/:serial", async ({ params, headers }, reply) => {
      const record = await store.readCertificate(readSerial(params.serial));
      if (record === undefined) throw problem("restNotFound", "no certificate has this serial");
      reply.header("vary", "Accept");
      switch (accepted(headers.accept)) {
        case "json":
          return certificateJson(record, now());
        case "pem":
          return sendPem(reply, pemEncode("CERTIFICATE", record.der) + (chainPemOf(record.issuerId) ?? ""));
        case "der":
          return reply.header("content-type", "application/pkix-cert").send(record.der);
      }
    });

    server.get<{ Querystring: Static<typeof identityQuery> }>(
      "/identities",
      { schema: { querystring: identityQuery } },
      async ({ query }) => {
        const after = query.cursor === undefined ? undefined : readCursor(query.cursor).key;
        const { entries, next } = await readPage(
          query.limit,
          (most) => store.findIdentities(query.prefix, after, most),
          (last) => writeCursor({ at: last.lastIssuedAt, key: last.name }),
        );
        return { identities: entries.map((record) => identityJson(record, externalUrl)), next };
      },
    );
  };
}

function filterOf(query: Static<typeof certificateQuery>): CertificateFilter {
  const { spiffeId, spiffeIdPrefix, permanentIdentifier, dnsName, serial, state, incident } = query;
  const date = (text: string | undefined, parameter: string): Date | undefined =>
    text === undefined ? undefined : readTime(text, parameter);
  return {
    ...(spiffeId !== undefined && { spiffeId }),
    ...(spiffeIdPrefix !== undefined && { spiffeIdPrefix }),
    ...(permanentIdentifier !== undefined && { permanentIdentifier }),
    ...(dnsName !== undefined && { dnsName: dnsNameOf(dnsName) }),
    ...(serial !== undefined && { serial: readSerial(serial) }),
    ...(state !== undefined && { state }),
    ...(incident !== undefined && { incident }),
    ...definedDates({
      issuedAfter: date(query.issuedAfter, "issuedAfter"),
      issuedBefore: date(query.issuedBefore, "issuedBefore"),
      expiresAfter: date(query.expiresAfter, "expiresAfter"),
      expiresBefore: date(query.expiresBefore, "expiresBefore"),
    }),
  };
}

/** @throws {Problem} restInvalid */
function delegated(
  { delegationSource: source, task, delegator }: Static<typeof certificateQuery>,
  delegationOf: InventoryRoutesOptions["delegationOf"],
): Pick<CertificateFilter, "delegation"> {
  if (source === undefined && task === undefined && delegator === undefined) return {};
  if (source === undefined) throw problem("restInvalid", "task and delegator need delegationSource beside them");
  return { delegation: delegationOf({ source, task, delegator }) };
}

function definedDates(dates: Record<string, Date | undefined>): Record<string, Date> {
  return Object.fromEntries(Object.entries(dates).filter((entry): entry is [string, Date] => entry[1] !== undefined));
}

function dnsNameOf(text: string): string {
  try {
    return canonicalDnsName(text, { wildcard: true });
  } catch (error) {
    if (error instanceof NameError) throw problem("restInvalid", `dnsName: ${error.message}`);
    throw error;
  }
}

const types = {
  "application/json": "json",
  "application/pem-certificate-chain": "pem",
  "application/x-pem-file": "pem",
  "application/pkix-cert": "der",
} as const;

/** @throws {Problem} notAcceptable where the request takes none of the types */
function accepted(header: string | undefined): "json" | "pem" | "der" {
  const type = preferredType(header, Object.keys(types) as (keyof typeof types)[]);
  if (type === undefined) throw problem("notAcceptable", `the types are ${Object.keys(types).join(", ")}`);
  return types[type];
}

const sendPem = (reply: FastifyReply, pem: string) =>
  reply.header("content-type", "application/pem-certificate-chain").send(pem);
