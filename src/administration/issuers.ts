/**
 * REST over issuers: `/api/v1/issuers`. What there is of roots and issuing CAs, what is planned for them, and moves by command. Operator token
 * required.
 */
import { createHash } from "node:crypto";
import type { FastifyInstance } from "fastify";
import { type Static, Type } from "typebox";

import { CertificateInRefused } from "../authority/certificateIn.ts";
import { awaitsCertificate, type Arrival } from "../authority/certifyIssuer.ts";
import { defaultIssuerName } from "../authority/issuer.ts";
import type { StoredIssuer } from "../authority/ports.ts";
import type { Alarm, Move, Plan } from "../authority/rotation/plan.ts";
import { NotMoved, type Rotation } from "../authority/rotation/rotate.ts";
import { problem } from "../problem/problem.ts";
import { readUuid } from "../rest/parameters.ts";
import { readCertificate } from "../x509/certificate.ts";
import { pemEncode } from "../x509/pem.ts";

const kind = Type.Optional(Type.Enum(["root", "issuing"]));
const line = Type.Optional(
  Type.String({ pattern: "^[a-z][a-z0-9-]{0,39}$", maxLength: 40, description: "the name of a line of issuers" }),
);
const lineSchema = Type.Object({ kind, name: line }, { additionalProperties: false });
const forceSchema = Type.Object({ force: Type.Optional(Type.Boolean()) }, { additionalProperties: false });
const pem = Type.String({ minLength: 1, maxLength: 60_000 });
const certificateSchema = Type.Object(
  { certificatePem: pem, rootPem: Type.Optional(pem), anySubject: Type.Optional(Type.Boolean()) },
  { additionalProperties: false },
);

export interface IssuerRoutesOptions {
  readonly rotation: Pick<Rotation, "state" | "prepare" | "publish" | "activate" | "replace" | "retire">;
  /** Certificates in force of an issuing CA. */
  readonly outstanding: (id: string) => Promise<number>;
  /**
   * Brings the certificate in for this issuer; resolves to what is not as it should be, in sentences.
   * @throws {CertificateInRefused} · {NotMoved} where it waits for none
   */
  readonly certify: (issuer: StoredIssuer, arrival: Arrival) => Promise<readonly string[]>;
  readonly externalUrl: string;
}

const operator = "operator";

export function issuerRoutes({ rotation, outstanding, certify, externalUrl }: IssuerRoutesOptions) {
  const known = async (text: string) => {
    const id = idOf(text);
    const { stored, plan } = await rotation.state();
    const found = stored.find((one) => one.id === id);
    if (found === undefined) throw problem("restNotFound", "there is no such issuer");
    return { found, plan };
  };
  const shown = async (id: string) => {
    const { found, plan } = await known(id);
    return { ...issuerJson(found, plan), ...certificateJson(found), certificates: await outstanding(found.id) };
  };

  return async function plugin(server: FastifyInstance): Promise<void> {
    server.get("/issuers", async () => {
      const { stored, plan } = await rotation.state();
      return {
        issuers: stored.map((one) => issuerJson(one, plan)),
        moves: plan.moves.map(moveJson),
        alarms: plan.alarms.map(alarmJson),
      };
    });

    server.get<{ Params: { id: string } }>("/issuers/:id", async ({ params }) => await shown(params.id));

    server.post<{ Body: Static<typeof lineSchema> }>(
      "/issuers",
      { schema: { body: lineSchema } },
      async ({ body }, reply) => {
        const id = await moved(() =>
          rotation.prepare(body.kind ?? "issuing", body.name ?? defaultIssuerName, operator),
        );
        reply.code(201).header("location", `${externalUrl}/api/v1/issuers/${id}`);
        return await shown(id);
      },
    );

    // A key that must not be used any more: whatever comes next takes its place now, made for it where there is none.
    server.post<{ Body: Static<typeof lineSchema> }>(
      "/issuers/replace",
      { schema: { body: lineSchema } },
      async ({ body }) => {
        const { kind: of = "issuing", name = defaultIssuerName } = body;
        const { active, former } = await moved(() => rotation.replace(of, name, operator));
        return { active: await shown(active), former: former === null ? null : await shown(former) };
      },
    );

    server.post<{ Params: { id: string } }>("/issuers/:id/publish", async ({ params }) => {
      const { found } = await known(params.id);
      await moved(() => rotation.publish(found.id, operator));
      return await shown(params.id);
    });

    for (const act of ["activate", "retire"] as const) {
      server.post<{ Params: { id: string }; Body: Static<typeof forceSchema> }>(
        `/issuers/:id/${act}`,
        { schema: { body: forceSchema } },
        async ({ params, body }) => {
          const { found } = await known(params.id);
          await moved(() => rotation[act](found.id, operator, body.force === true));
          return await shown(params.id);
        },
      );
    }

    server.post<{ Params: { id: string }; Body: Static<typeof certificateSchema> }>(
      "/issuers/:id/certificate",
      { schema: { body: certificateSchema } },
      async ({ params, body: { certificatePem, rootPem, anySubject = false } }) => {
        const { found } = await known(params.id);
        const warnings = await moved(() => certify(found, { pem: certificatePem, rootPem, anySubject }));
        return { ...(await shown(params.id)), warnings };
      },
    );
  };
}

/** What an operator asked for and cannot have is his to know; everything else is our own trouble. */
async function moved<T>(act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    if (error instanceof NotMoved) throw problem("restConflict", error.message);
    if (error instanceof CertificateInRefused) throw problem("restInvalid", error.message);
    throw error;
  }
}

function idOf(text: string): string {
  const id = readUuid(text);
  if (id === undefined) throw problem("restNotFound", "there is no such issuer");
  return id;
}

function issuerJson(issuer: StoredIssuer, { moves }: Plan): object {
  const { id, kind: of, name, generation, state, parentId, keyLabel, signatureAlgorithm, certificate } = issuer;
  const parsed = certificate === null ? undefined : readCertificate(certificate, { lenient: true });
  const next = moves.find((move) => move.act !== "prepare" && move.id === id);
  return {
    id,
    kind: of,
    name,
    generation,
    state,
    waitsForCertificate: awaitsCertificate(issuer),
    parent: parentId,
    keyLabel,
    signatureAlgorithm,
    sha256: certificate === null ? null : createHash("sha256").update(certificate).digest("hex"),
    notBefore: parsed?.notBefore.toISOString() ?? null,
    notAfter: parsed?.notAfter.toISOString() ?? null,
    createdAt: issuer.createdAt.toISOString(),
    publishedAt: issuer.publishedAt?.toISOString() ?? null,
    activatedAt: issuer.activatedAt?.toISOString() ?? null,
    retiringAt: issuer.retiringAt?.toISOString() ?? null,
    retiredAt: issuer.retiredAt?.toISOString() ?? null,
    revokedAt: issuer.revokedAt?.toISOString() ?? null,
    nextMove: next === undefined ? null : { move: next.act, at: next.at.toISOString() },
  };
}

const certificateJson = ({ certificate, request }: StoredIssuer): object => ({
  certificatePem: certificate === null ? null : pemEncode("CERTIFICATE", certificate),
  requestPem: request === null ? null : pemEncode("CERTIFICATE REQUEST", request),
});

const moveJson = (move: Move): object => ({
  kind: move.kind,
  name: move.name,
  move: move.act,
  at: move.at.toISOString(),
  issuer: move.act === "prepare" ? null : move.id,
});

const alarmJson = ({ kind: of, name, id, until, what }: Alarm): object => ({
  kind: of,
  name,
  issuer: id,
  until: until?.toISOString() ?? null,
  what,
});
