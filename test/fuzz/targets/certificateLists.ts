/** Revocation lists of our own kind, about one distribution point. */
import { sign } from "node:crypto";

// oxlint-disable-next-line import/no-unassigned-import -- the witness needs its side effect
import "reflect-metadata";
import * as witness from "@peculiar/x509";
import { readCertificateList, readDistributedList } from "../../../src/x509/certificateList.ts";
import {
  assembleCertificateList,
  createRevokedEntries,
  encodeTbsCertificateList,
} from "../../../src/x509/certificateListWriter.ts";
import { DerError, readDer } from "../../../src/x509/der.ts";
import { keyIdentifier } from "../../../src/x509/extensions.ts";
import { issue } from "../../support/platformCertificates.ts";
import { bendBytes } from "../mutate.ts";
import { bendDer } from "../mutateDer.ts";
import { holds, readOrRefuse, refusesTrailing, type Target } from "../target.ts";

const ca = issue({ commonName: "ca" });

function listOf(entryCount: number): Buffer {
  const entries = createRevokedEntries();
  for (let index = 0; index < entryCount; index += 1) {
    const serial = Buffer.concat([Buffer.from([0x41, index]), Buffer.alloc(14, index)]);
    entries.add(serial, 0, serial.length, 1_795_000_000 + index * 7_000, index % 2 === 0 ? 1 : undefined);
  }
  const tbs = encodeTbsCertificateList(
    {
      signatureAlgorithm: "ecdsa-p256-sha256",
      issuer: ca.name,
      thisUpdate: new Date("2026-11-26T12:00:00Z"),
      nextUpdate: new Date("2026-11-27T12:00:00Z"),
      authorityKeyIdentifier: keyIdentifier(ca.spki),
      number: 300,
      distributionPoint: { url: "http://crl.test/crl/a/0.crl", onlyContains: "UserCerts" },
    },
    entries,
  );
  return assembleCertificateList(tbs, "ecdsa-p256-sha256", sign("sha256", tbs, ca.key));
}

const lists = [listOf(0), listOf(1), listOf(5)];

const list: Target = {
  name: "distributed-list",
  about: "revocation lists about a distribution point; the strict reader and @peculiar/x509 are witnesses",
  cases: 4_000,
  slowMs: 200,
  make: (random) =>
    random.chance(0.2) ? bendBytes(random, random.pick(lists), 1) : bendDer(random, random.pick(lists), 1),
  check(input) {
    const found = readOrRefuse(() => readDistributedList(input), DerError);
    if (found === undefined) return "refused";
    readDer(input);
    refusesTrailing(readDistributedList, input, DerError);
    // Names are kept as they are and compared whole; the witness reads what is in them.
    const known = found.issuer.equals(ca.name);
    holds(!known || new witness.X509Crl(input).entries.length === found.entries, "the witness counts other entries");
    holds(input.includes(found.tbs) && input.includes(found.signature), "octets from elsewhere");
    holds(readOrRefuse(() => readCertificateList(input), DerError) === undefined, "it was taken for a complete list");
    return "accepted";
  },
};

export const certificateListTargets: readonly Target[] = [list];
