/**
 * REST over revocations: `/api/v1/revocations`. An operator revokes a certificate, or all of an identity, key, account, grant, evidence source,
 * task, delegator or issuer, and nothing more is issued by it, on any server, from then on. Operator token required.
 */
import type { FastifyInstance } from "fastify";
import { type Static, Type } from "typebox";

import { problem } from "../problem/problem.ts";
import { pageLimit, readPage } from "../rest/page.ts";
import { nameText, oneLine, readSerial, readUuid, uuid } from "../rest/parameters.ts";
import { actionJson, coverageJson, listedActionJson, type Acceptance } from "./revocationJson.ts";
import type {
  ActionFilter,
  NewRevocation,
  RevocationAction,
  RevocationActionStore,
  RevocationCoverage,
  RevocationSubject,
} from "./revocationPorts.ts";
import { keyCompromise, reasonCode, revocationReasons } from "../x509/revocationReason.ts";
import { bySchema, noSuchSubject, readSubject, revocationKinds, type SubjectReading } from "./revocationSubject.ts";

const revocationSchema = Type.Object(
  {
    by: bySchema,
    reason: Type.Enum([...revocationReasons]),
    note: oneLine(1000),
    dryRun: Type.Optional(Type.Boolean()),
    expectAtMost: Type.Optional(Type.Integer({ minimum: 0, maximum: 1_000_000_000 })),
    quarantine: Type.Optional(Type.Boolean()),
    blockKeys: Type.Optional(Type.Boolean()),
  },
  { additionalProperties: false },
);
type Asked = Static<typeof revocationSchema>;

const listQuery = Type.Object(
  {
    kind: Type.Optional(Type.Enum([...revocationKinds])),
    state: Type.Optional(Type.Enum(["running", "done"])),
    createdBy: Type.Optional(nameText(200)),
    certificate: Type.Optional(Type.String({ maxLength: 80 })),
    limit: pageLimit,
    cursor: Type.Optional(uuid),
  },
  { additionalProperties: false },
);

export interface RevocationRoutesOptions extends SubjectReading, Acceptance {
  readonly store: RevocationActionStore;
  /** Begins to carry an action out; resolves when it is done, or another process is at it. */
  readonly carryOut: (action: RevocationAction) => Promise<void>;
  /** True of the ref of a configured source of evidence. */
  readonly hasSource: (ref: string) => boolean;
  readonly externalUrl: string;
  readonly now: () => Date;
  readonly newId: () => string;
}

/** What is done sooner is done in the answer. */
const waitMs = 2_000;

export function revocationRoutes(options: RevocationRoutesOptions) {
  const { store, externalUrl, now } = options;
  return async function plugin(server: FastifyInstance): Promise<void> {
    server.post<{ Body: Asked }>("/revocations", { schema: { body: revocationSchema } }, async ({ body }, reply) => {
      const subject = readSubject(body.by, options);
      const { dryRun = true, expectAtMost } = body;
      const covered = await coverageOf(subject, dryRun, options);
      const ordered = newRevocation(subject, body, options.newId());
      if (dryRun) return { dryRun, ...coverageJson(ordered, required(covered), options, now()) };
      const begun = await begin(ordered, expectAtMost, options);
      await Promise.race([options.carryOut(begun), new Promise((resolve) => setTimeout(resolve, waitMs).unref())]);
      reply.code(201).header("location", `${externalUrl}/api/v1/revocations/${begun.id}`);
      return await whole(required(await store.read(begun.id)), options);
    });

    server.get<{ Querystring: Static<typeof listQuery> }>(
      "/revocations",
      { schema: { querystring: listQuery } },
      async ({ query: { kind, state, createdBy, certificate, limit, cursor } }) => {
        const serial = certificate === undefined ? undefined : readSerial(certificate);
        const filter: ActionFilter = { kind, state, createdBy, certificate: serial };
        const { entries, next } = await readPage(
          limit,
          (most) => store.list(filter, cursor, most),
          (last) => last.id,
        );
        return { revocations: entries.map((action) => listedActionJson(action, options, now())), next };
      },
    );

    server.get<{ Params: { id: string } }>("/revocations/:id", async ({ params }) => {
      const id = readUuid(params.id);
      const action = id === undefined ? undefined : await store.read(id);
      if (action === undefined) throw problem("restNotFound", "there is no such revocation");
      return await whole(action, options);
    });
  };
}

/** An action with its lists and processes. */
async function whole(action: RevocationAction, options: RevocationRoutesOptions): Promise<object> {
  const [lists, effects] = await Promise.all([options.store.lists(action.id), options.store.effects(action.id)]);
  return actionJson(action, lists, effects, options, options.now());
}

/** @throws {Problem} restInvalid where there is nothing of this name */
async function coverageOf(
  subject: RevocationSubject,
  counted: boolean,
  { store, hasSource, now }: RevocationRoutesOptions,
): Promise<RevocationCoverage | undefined> {
  if (!(await store.exists(subject))) throw noSuchSubject(subject.kind);
  // A source that is not configured any more can still have certificates in force.
  const gone = subject.kind === "source" && !hasSource(subject.subject);
  const covered = counted || gone ? await store.coverage(subject, now()) : undefined;
  if (gone && covered?.certificates === 0 && covered.revokedBefore === 0) throw noSuchSubject(subject.kind);
  return covered;
}

/**
 * Begins it. All but the last minute is counted first, page by page; what came since is counted by the statement that stops issuing, so that a
 * count that has grown stops nothing and revokes nothing.
 * @throws {Problem} restConflict where there are more than `expectAtMost`
 */
async function begin(
  ordered: NewRevocation,
  expectAtMost: number | undefined,
  { store, now }: RevocationRoutesOptions,
): Promise<RevocationAction> {
  if (expectAtMost === undefined) return await store.begin(ordered, now());
  const issuedAfter = await store.recordedUntil();
  const counted = await store.coverage(ordered, now(), issuedAfter);
  const begun = await store.beginAtMost(ordered, now(), { atMost: expectAtMost - counted.certificates, issuedAfter });
  if (begun !== undefined) return begun;
  const { certificates, underWay } = await store.coverage(ordered, now());
  const more = underWay === 0 ? "" : `, and ${underWay} that are under way`;
  throw problem(
    "restConflict",
    `${certificates} certificates would be revoked${more}, which is more than ${expectAtMost}`,
  );
}

/** @throws {Problem} restInvalid */
function newRevocation(subject: RevocationSubject, { reason, note, ...asked }: Asked, id: string): NewRevocation {
  const { kind } = subject;
  if (kind === "identity" && asked.quarantine === false)
    throw problem(
      "restInvalid",
      "quarantine: an identity whose certificates are revoked is in quarantine, until it is lifted",
    );
  if (kind === "key" && asked.blockKeys === false)
    throw problem("restInvalid", "blockKeys: a key whose certificates are revoked is blocked, until it is unblocked");
  const quarantine = asked.quarantine ?? kind === "identity";
  const blockKeys = asked.blockKeys ?? (kind === "key" || reason === keyCompromise);
  return { ...subject, id, reason: reasonCode(reason), note, quarantine, blockKeys };
}

function required<T>(value: T | undefined): T {
  if (value === undefined) throw new Error("what was written a moment ago is not there");
  return value;
}
