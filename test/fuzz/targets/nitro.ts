/** Attestation documents of AWS Nitro enclaves, bent after they were signed, or before. */
import { randomBytes } from "node:crypto";
import { fingerprintOf } from "../../../src/attestation/certificateChain.ts";
import { EvidenceRefused } from "../../../src/attestation/evidence.ts";
import { verifyNitroDocument, type NitroSettings, type NitroTrust } from "../../../src/attestation/formats/awsNitro.ts";
import { readNitroDocument } from "../../../src/attestation/nitro/document.ts";
import { createLru } from "../../../src/cache/lru.ts";
import { decodeCbor, isCborMap } from "../../../src/encoding/cbor.ts";
import { foreignNow } from "../../support/foreignCa.ts";
import { nitroPlatform } from "../../support/nitroEnclave.ts";
import { bendBytes } from "../mutate.ts";
import { holds, readOrRefuse, type Target } from "../target.ts";

const platform = nitroPlatform();
const nonce = randomBytes(32);
const good = platform.document({ nonce, members: { public_key: Buffer.from("key"), user_data: Buffer.alloc(40) } });
const payloadOf = (message: Buffer): Buffer => {
  const [, , payload] = decodeCbor(message) as Buffer[];
  return payload ?? Buffer.of();
};
const settings: NitroSettings = { ref: "enclaves", format: "aws-nitro" };
const trust: NitroTrust = {
  roots: { certificates: [], fingerprints: [fingerprintOf(platform.root.certificate)] },
  verified: createLru(64),
};

const documents: Target = {
  name: "nitro-document",
  about: "attestation documents, bent before they are read; the limits that AWS publishes hold for what is read",
  cases: 8_000,
  slowMs: 200,
  make(random) {
    const payload = payloadOf(good);
    return random.chance(0.1) ? payload : bendBytes(random, payload, 1);
  },
  check(input) {
    const read = readOrRefuse(() => readNitroDocument(input), EvidenceRefused);
    if (read === undefined) return "refused";
    holds(
      [...read.pcrs].every(([index, pcr]) => index >= 0 && index < 32 && [32, 48, 64].includes(pcr.length)),
      "a PCR",
    );
    holds(
      [read.certificate, ...read.cabundle].every(({ length }) => length > 0 && length <= 1024),
      "a certificate",
    );
    holds((read.nonce?.length ?? 0) <= 512 && (read.userData?.length ?? 0) <= 512, "nonce or user_data");
    holds(!Number.isNaN(read.timestamp.getTime()), "the timestamp is no time");
    holds(isCborMap(decodeCbor(input)), "it is no map");
    return "accepted";
  },
};

const messages: Target = {
  name: "nitro-message",
  about: "signed documents, bent before or after signing: nothing that is not signed as a whole is taken",
  cases: 500,
  slowMs: 300,
  make(random) {
    if (random.chance(0.1)) return platform.document({ nonce, tagged: random.chance(0.5) });
    if (random.chance(0.5)) return bendBytes(random, good, 1);
    return platform.document({ payload: bendBytes(random, payloadOf(good), 1) });
  },
  check(input) {
    const found = readOrRefuse(() => verifyNitroDocument(input, nonce, settings, trust, foreignNow), EvidenceRefused);
    if (found === undefined) return "refused";
    holds(found.document.nonce?.equals(nonce) === true, "another nonce");
    holds(found.document.certificate.equals(platform.leaf), "another certificate");
    holds(found.document.pcrs.get(0)?.some((octet) => octet > 0) === true, "debug mode");
    holds(Math.abs(found.document.timestamp.getTime() - foreignNow.getTime()) <= 300_000, "another time");
    return "accepted";
  },
};

export const nitroTargets: readonly Target[] = [documents, messages];
