/** REST over the inventory: `/api/v1/certificates`, `/api/v1/certificates/{serial}`, `/api/v1/identities`. Operator token required. */
import type { FastifyInstance, FastifyReply } from "fastify";
import { type Static, Type } from "typebox";

import type { OperatorAccess } from "../access/operatorToken.ts";
import { preferredType } from "../encoding/accept.ts";
import { problem } from "../problem/problem.ts";
import { readSerialHex } from "../x509/certificate.ts";
import { canonicalDnsName, NameError } from "../x509/names.ts";
import { pemEncode } from "../x509/pem.ts";
import { parseRfc3339 } from "../x509/time.ts";
import { readCursor, writeCursor } from "./cursor.ts";
import { certificateJson, identityJson } from "./json.ts";
import type { CertificateFilter, InventoryStore } from "./ports.ts";

const time = Type.String({
  pattern: "^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}:\\d{2}(\\.\\d{1,9})?(Z|[+-]\\d{2}:\\d{2})$",
  description: "RFC 3339",
});
const limit = Type.Optional(
  Type.String({ pattern: "^[1-9][0-9]{0,3}$", description: "Entries in a page, at most 1000; 100 otherwise." }),
);
const cursor = Type.Optional(Type.String({ maxLength: 4200, description: "`next` of the page before." }));
const name = Type.Optional(
  // No text in Postgres holds NUL, so no name does.
  Type.String({ pattern: "^[^\\u0000]+$", maxLength: 2048 }),
);

const certificateQuery = Type.Object(
  {
    spiffeId: name,
    spiffeIdPrefix: name,
    dnsName: name,
    serial: Type.Optional(Type.String({ maxLength: 80 })),
    state: Type.Optional(Type.Enum(["valid", "expired", "revoked"])),
    issuedAfter: Type.Optional(time),
    issuedBefore: Type.Optional(time),
    expiresAfter: Type.Optional(time),
    expiresBefore: Type.Optional(time),
    incident: Type.Optional(Type.String({ pattern: "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$" })),
    limit,
    cursor,
  },
  { additionalProperties: false },
);
const identityQuery = Type.Object({ prefix: name, limit, cursor }, { additionalProperties: false });

const pageLimit = 1000;
const pageDefault = 100;

export interface InventoryRoutesOptions {
  readonly store: InventoryStore;
  readonly access: OperatorAccess;
  readonly externalUrl: string;
  readonly chainPemOf: (issuerId: string) => string | undefined;
  readonly now: () => Date;
}

export function inventoryRoutes({ store, access, externalUrl, chainPemOf, now }: InventoryRoutesOptions) {
  return async function plugin(server: FastifyInstance): Promise<void> {
    server.addHook("onRequest", async (request, reply) => {
      access.require(request.headers.authorization);
      reply.header("cache-control", "no-store");
    });

    server.get<{ Querystring: Static<typeof certificateQuery> }>(
      "/certificates",
      { schema: { querystring: certificateQuery } },
      async ({ query }) => {
        const size = pageSize(query.limit);
        const position = query.cursor === undefined ? undefined : readCursor(query.cursor);
        const found = await store.findCertificates(filterOf(query), position, size + 1, now());
        const page = found.slice(0, size);
        const last = page.at(-1);
        const more = found.length > size && last !== undefined;
        return {
          certificates: page.map((record) => certificateJson(record, now())),
          ...(more && { next: writeCursor({ at: last.issuedAt, key: last.serial.toString("hex") }) }),
        };
      },
    );

    server.get<{ Params: { serial: string } }>("/certificates/:serial", async ({ params, headers }, reply) => {
      const record = await store.readCertificate(serialOf(params.serial));
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
        const size = pageSize(query.limit);
        const after = query.cursor === undefined ? undefined : readCursor(query.cursor).key;
        const found = await store.findIdentities(query.prefix, after, size + 1);
        const page = found.slice(0, size);
        const last = page.at(-1);
        const more = found.length > size && last !== undefined;
        return {
          identities: page.map((record) => identityJson(record, externalUrl)),
          ...(more && { next: writeCursor({ at: last.lastIssuedAt, key: last.name }) }),
        };
      },
    );
  };
}

function pageSize(asked: string | undefined): number {
  const size = asked === undefined ? pageDefault : Number(asked);
  if (size > pageLimit) throw problem("restInvalid", `limit must be at most ${pageLimit}`);
  return size;
}

function filterOf(query: Static<typeof certificateQuery>): CertificateFilter {
  const { spiffeId, spiffeIdPrefix, dnsName, serial, state, incident } = query;
  const date = (text: string | undefined, what: string): Date | undefined => {
    if (text === undefined) return undefined;
    const value = parseRfc3339(text);
    if (value === undefined) throw problem("restInvalid", `${what} is not a time`);
    return value;
  };
  return {
    ...(spiffeId !== undefined && { spiffeId }),
    ...(spiffeIdPrefix !== undefined && { spiffeIdPrefix }),
    ...(dnsName !== undefined && { dnsName: dnsNameOf(dnsName) }),
    ...(serial !== undefined && { serial: serialOf(serial) }),
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

function serialOf(text: string): Buffer {
  const serial = readSerialHex(text);
  if (serial === undefined) throw problem("restInvalid", "a serial is up to 20 octets in hexadecimal");
  return serial;
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
