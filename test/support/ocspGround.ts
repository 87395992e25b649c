/** A responder on a hierarchy and a store in memory: what is recorded is what a test says, and every question and signature is counted. */
import { randomBytes } from "node:crypto";

import type { MadeResponse, OcspResponseStore, RecordedRevocation } from "../../src/authority/ocspPorts.ts";
import { certIdOf } from "../../src/authority/revocation/prepareResponse.ts";
import {
  createOcspResponder,
  type OcspResponder,
  type OcspResponderParts,
} from "../../src/authority/revocation/ocspResponder.ts";
import { createSignatureBudget } from "../../src/authority/revocation/signatureBudget.ts";
import type { Issuer } from "../../src/authority/issuer.ts";
import { KeyUnavailable } from "../../src/keys/signer.ts";
import { type CertIdHash, encodeOcspRequest } from "../../src/x509/ocspRequest.ts";
import { memoryHierarchy, type MemoryHierarchy } from "./issuers.ts";

export interface Recorded {
  readonly issuerId: string;
  readonly notAfter: Date;
  revocation: RecordedRevocation | null;
}

export interface OcspGround extends Omit<MemoryHierarchy, "store"> {
  readonly store: OcspResponseStore;
  readonly responder: OcspResponder;
  readonly records: Map<string, Recorded>;
  readonly kept: Map<string, MadeResponse>;
  readonly count: { finds: number; signed: string[]; troubles: unknown[] };
  /** Where it is; tests move it. */
  readonly clock: { now: Date };
  /** Records a certificate and resolves to its serial number. */
  record(changes?: Partial<Recorded>): Buffer;
  /** A request of OpenSSL's form about it. */
  ask(serial: Buffer, options?: { hash?: CertIdHash; nonce?: Buffer; issuer?: Issuer }): Buffer;
}

export const hour = 3_600_000;

export async function ocspGround(changes: Partial<OcspResponderParts> = {}): Promise<OcspGround> {
  const clock = { now: new Date("2026-11-26T12:00:00Z") };
  const hierarchy = await memoryHierarchy(clock.now);
  const records = new Map<string, Recorded>();
  const kept = new Map<string, MadeResponse>();
  const count = { finds: 0, signed: [] as string[], troubles: [] as unknown[] };
  const { issuing } = hierarchy;

  const store: OcspResponseStore = {
    async find(serial, hash, now) {
      count.finds++;
      const record = records.get(serial.toString("hex"));
      if (record === undefined) return undefined;
      const response = kept.get(hash + serial.toString("hex"));
      const latest = Math.max(now.getTime(), record.revocation?.at.getTime() ?? 0) + 60_000;
      const stands =
        response?.revoked === (record.revocation !== null) &&
        response.nextUpdate > now &&
        response.thisUpdate.getTime() <= latest;
      return { ...record, response: stands ? response : undefined };
    },
    async keep(response, now) {
      const key = response.hash + response.serial.toString("hex");
      const before = kept.get(key);
      const revoked = records.get(response.serial.toString("hex"))?.revocation !== null;
      if (revoked !== response.revoked) return false;
      const later = before !== undefined && before.thisUpdate.getTime() > response.thisUpdate.getTime() + 60_000;
      if (before !== undefined && before.revoked === response.revoked && before.refreshAt > now && !later) return false;
      kept.set(key, response);
      return true;
    },
    async revokedLately() {
      return [...records]
        .filter(([, { revocation }]) => revocation !== null)
        .map(([serial]) => Buffer.from(serial, "hex"));
    },
    markAhead: async () => 0,
    takeDue: async () => [],
  };
  const responder = createOcspResponder({
    store,
    issuers: () => [issuing],
    now: () => clock.now,
    lifetimeSeconds: 14_400,
    lookBackSeconds: 60,
    cacheBytes: 1_000_000,
    budget: createSignatureBudget(100),
    nonceBudget: undefined,
    isPassing: (error) => error instanceof KeyUnavailable,
    onSigned: (why) => void count.signed.push(why),
    onTrouble: (error) => void count.troubles.push(error),
    ...changes,
  });
  return {
    ...hierarchy,
    store,
    responder,
    records,
    kept,
    count,
    clock,
    record(of = {}) {
      const serial = Buffer.concat([Buffer.from([0x4f]), randomBytes(15)]);
      const notAfter = new Date(clock.now.getTime() + 48 * hour);
      records.set(serial.toString("hex"), { issuerId: issuing.id, notAfter, revocation: null, ...of });
      return serial;
    },
    ask: (serial, { hash = "sha1", nonce, issuer = issuing } = {}) =>
      encodeOcspRequest({ certIds: [certIdOf(issuer, hash, serial)], nonce }),
  };
}
