/** Attestations of devices: attestation objects with their statements, and the key descriptions of Android. */
import {
  certificatesIn,
  octetsIn,
  readAttestationObject,
} from "../../../src/attestation/webauthn/attestationObject.ts";
import { authorization, readKeyDescription, readRootOfTrust } from "../../../src/attestation/android/keyDescription.ts";
import { EvidenceRefused } from "../../../src/attestation/evidence.ts";
import { DerError } from "../../../src/x509/der.ts";
import {
  parsePermanentIdentifier,
  PermanentIdentifierError,
  permanentIdentifierText,
} from "../../../src/x509/permanentIdentifier.ts";
import {
  androidAttestation,
  appleAttestation,
  keyDescription,
  maker,
  packedAttestation,
} from "../../support/deviceAttestations.ts";
import { bendBytes } from "../mutate.ts";
import type { Random } from "../random.ts";
import { holds, readOrRefuse, type Target } from "../target.ts";

const made = maker("Fuzz");
const objects = [
  packedAttestation(made, "token.thumbprint", { serial: 4242, permanentIdentifier: "4242/1.2.3" }),
  appleAttestation(made, "token", { serial: "C02", udid: "0-1" }),
  androidAttestation(made, "token.thumbprint", { serial: "PHONE" }),
].map((text) => Buffer.from(text, "base64url"));
const descriptions = [
  keyDescription("a.b", { serial: "PHONE", purposes: [2, 3] }),
  keyDescription("a.b", { allApplications: "software", rootOfTrust: false }),
];
const identifiers = ["4242", "4242/1.2.3", "Größe 7/2.999.1", "x/0.39"].map((text) => Buffer.from(text));

const bent = (random: Random, originals: readonly Buffer[]): Buffer => {
  const original = random.pick(originals);
  return random.chance(0.1) ? original : bendBytes(random, original, random.chance(0.6) ? 1 : 3);
};

const attestationObjects: Target = {
  name: "attestation-object",
  about: "WebAuthn attestation objects and what a statement has",
  cases: 10_000,
  slowMs: 100,
  make: (random) => bent(random, objects),
  check(input) {
    const object = readOrRefuse(() => readAttestationObject(input.toString("base64url")), EvidenceRefused);
    if (object === undefined) return "refused";
    holds(object.statementFormats.length <= 1, "a statement of two formats");
    readOrRefuse(() => octetsIn(object.statement, "sig"), EvidenceRefused);
    const certificates = readOrRefuse(() => certificatesIn(object.statement), EvidenceRefused);
    holds(certificates === undefined || certificates.length <= 6, "more certificates than there may be");
    return "accepted";
  },
};

const keyDescriptions: Target = {
  name: "android-key-description",
  about: "the key attestation extension of Android, with its tags of several octets",
  cases: 20_000,
  slowMs: 100,
  make: (random) => bent(random, descriptions),
  check(input) {
    const read = readOrRefuse(() => readKeyDescription(input), DerError);
    if (read === undefined) return "refused";
    const inside = [...read.hardwareEnforced.values(), ...read.softwareEnforced.values()];
    const octets = inside.reduce((sum, content) => sum + content.length, read.attestationChallenge.length);
    holds(octets < input.length, "more was read than there is");
    for (const tag of read.hardwareEnforced.keys())
      readOrRefuse(() => authorization(read.hardwareEnforced, tag), DerError);
    readOrRefuse(() => {
      const root = authorization(read.hardwareEnforced, 704);
      return root && readRootOfTrust(root);
    }, DerError);
    return "accepted";
  },
};

const permanentIdentifiers: Target = {
  name: "permanent-identifier",
  about: "the text of a permanent identifier; taken apart and put together it is the same",
  cases: 20_000,
  slowMs: 50,
  make: (random) => bent(random, identifiers),
  check(input) {
    const text = input.toString("utf8");
    const read = readOrRefuse(() => parsePermanentIdentifier(text), PermanentIdentifierError);
    if (read === undefined) return "refused";
    holds(permanentIdentifierText(read) === text && !read.device.includes("/"), "it is not what was written");
    return "accepted";
  },
};

export const deviceTargets: readonly Target[] = [attestationObjects, keyDescriptions, permanentIdentifiers];
