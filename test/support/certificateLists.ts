/** An issuer with its lists in a real database, certificates to revoke, and OpenSSL to ask about them. */
import { randomBytes } from "node:crypto";

import { newId } from "../../src/acme/id.ts";
import type { PublishedList } from "../../src/authority/certificateListPorts.ts";
import { establishHierarchy } from "../../src/authority/hierarchy.ts";
import { defaultIssuerName, type Issuer, type Issuers } from "../../src/authority/issuer.ts";
import { openIssuers } from "../../src/authority/issuers.ts";
import { serialNumber, serialRandomOctets } from "../../src/authority/serialNumber.ts";
import { makeDueLists, type MakingLists } from "../../src/authority/revocation/makeLists.ts";
import { createCertificateListStore } from "../../src/store/certificateLists.ts";
import { createCertificateStore } from "../../src/store/certificates.ts";
import type { Database } from "../../src/store/database.ts";
import { createIssuerStore } from "../../src/store/issuers.ts";
import { type DistributedList, readDistributedList } from "../../src/x509/certificateList.ts";
import { makeCertificate, query } from "./database.ts";
import { memoryKeys, trustDomain, type MemoryKeys } from "./issuers.ts";

export interface ListGround {
  readonly db: Database;
  readonly keys: MemoryKeys;
  readonly issuers: Issuers;
  readonly issuer: Issuer;
  readonly store: ReturnType<typeof createCertificateListStore>;
  /** The clock, which the test moves. */
  readonly clock: { now: Date };
  /** What went wrong so far. */
  readonly failures: unknown[];
  /** A round of making the issuing CA's lists, as a process of its own would do it; with changes. */
  readonly make: (changes?: Partial<MakingLists>) => Promise<number>;
  /** A revoked certificate of the issuer, in this shard. */
  readonly revoke: (shard: number, options?: { reason?: number; notAfter?: Date }) => Promise<Buffer>;
  /** The list that stands, with its octets; of the issuing CA unless another is named. */
  readonly list: (
    shard: number,
    issuerId?: string,
  ) => Promise<{ row: PublishedList; der: Buffer; read: DistributedList }>;
}

export const listTimes = { lifetimeSeconds: 86_400, intervalSeconds: 43_200 };

/** @param db migrated; what is in it goes */
export async function listGround(db: Database, { crlShards = 4 } = {}): Promise<ListGround> {
  await query(db, "truncate issuer, certificate, revocation, identity, audit_entry, outbox cascade");
  const [keys, clock] = [memoryKeys(), { now: new Date() }];
  const options = { keys, store: createIssuerStore(db), trustDomain, publicUrl: "http://crl.test" };
  const lifetimes = { rootLifetimeDays: 3650, issuingLifetimeDays: 365 };
  await establishHierarchy({
    ...options,
    keyLabel: "issuing",
    keyKind: "ec-p256",
    ...lifetimes,
    crlShards,
    now: clock.now,
  });
  const issuers = await openIssuers({ ...options, now: () => clock.now });
  const issuer = issuers.active(defaultIssuerName);
  const store = createCertificateListStore(db);
  const failures: unknown[] = [];
  return {
    db,
    keys,
    issuers,
    issuer,
    store,
    clock,
    failures,
    make: (changes = {}) =>
      makeDueLists({
        store,
        issuers: { listIssuers: () => issuers.all() },
        times: listTimes,
        now: () => clock.now,
        onFailed: (_turn, error) => void failures.push(error),
        ...changes,
      }),
    async revoke(shard, { reason, notAfter = new Date(clock.now.getTime() + 3_600_000) } = {}) {
      const serial = serialNumber(notAfter, randomBytes(serialRandomOctets));
      serial[2] = Math.floor(Math.random() * (256 / crlShards)) * crlShards + shard;
      await makeCertificate(db, { serial, issuerId: issuer.id, notAfter });
      await createCertificateStore(db).revoke({
        id: newId(clock.now),
        serial,
        reason,
        revokedBy: "operator",
        requireAccount: undefined,
      });
      return serial;
    },
    async list(shard, issuerId = issuer.id) {
      const row = (await store.readPublished()).find((one) => one.shard === shard && one.issuerId === issuerId);
      if (row === undefined) throw new Error(`there is no list ${shard}`);
      const der = await store.readOctets(row, row.number);
      if (der === undefined) throw new Error(`list ${shard} has no octets`);
      return { row, der, read: readDistributedList(der) };
    },
  };
}
