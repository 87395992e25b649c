/** Keys that a certificate may not have, and what it says wrongly of its revocation. */
import { objectIdentifier, sequence } from "../../../src/x509/derWriter.ts";
import { oids } from "../../../src/x509/oid.ts";
import { authorityInfoAccess, cRLDistributionPoints } from "../../../src/x509/revocationExtensions.ts";
import { spkiOf } from "../../support/craftedTbs.ts";
import {
  type Case,
  workload,
  server,
  ofRsa,
  pointed,
  replaced,
  added,
  recriticised,
  odd,
  f4,
  revoking,
  issuing,
  withKey,
  rsaKey,
  ecKey,
} from "./caseGround.ts";

export const keyCases: readonly Case[] = [
  { lint: "rsaModulus", how: "1024 bits", ...withKey(ofRsa, ...rsaKey(odd(128), f4)) },
  { lint: "rsaModulus", how: "2047 bits", ...withKey(ofRsa, ...rsaKey(odd(256, 0x41).subarray(1), f4)) },
  { lint: "rsaModulus", how: "a negative one", ...withKey(ofRsa, ...rsaKey(odd(257).subarray(1), f4)) },
  { lint: "rsaExponent", how: "3", ...withKey(ofRsa, ...rsaKey(odd(256), Buffer.of(3))) },
  { lint: "rsaExponent", how: "an even one", ...withKey(ofRsa, ...rsaKey(odd(256), Buffer.of(1, 0, 2))) },
  { lint: "rsaExponent", how: "a negative one", ...withKey(ofRsa, ...rsaKey(odd(256), Buffer.of(0x81, 0, 1))) },
  { lint: "ecCurve", how: "P-521", ...withKey(server, ...ecKey(oids.secp521r1, Buffer.alloc(133, 4))) },
  { lint: "ecPoint", how: "compressed", ...withKey(server, ...ecKey(oids.prime256v1, Buffer.alloc(33, 2))) },
  {
    lint: "keyAlgorithm",
    how: "DSA",
    ...withKey(server, spkiOf(sequence(objectIdentifier("1.2.840.10040.4.1")), Buffer.alloc(9, 1)), Buffer.alloc(9, 1)),
  },
  { lint: "keyNotOfIssuer", how: "the issuer's", good: workload, issuer: { spki: workload.publicKey.spki } },
  { lint: "noRevAvailNotCritical", how: "critical", good: workload, bytes: recriticised(workload, oids.noRevAvail) },
  {
    lint: "noRevAvailAlone",
    how: "with a distribution point",
    good: workload,
    bytes: added(workload, cRLDistributionPoints([issuing.crlUrl(workload.serialNumber)])),
  },
  {
    lint: "noRevAvailAlone",
    how: "with a responder",
    good: workload,
    bytes: added(workload, authorityInfoAccess({ ocsp: [issuing.ocspUrl] })),
  },
  ...[pointed()].flatMap((good): Case[] => {
    const elsewhere = cRLDistributionPoints([
      issuing.crlUrl(Buffer.concat([good.serialNumber.subarray(0, 2), Buffer.of(1)])),
    ]);
    const ldap = "ldap:///cn=CA?certificateRevocationList";
    return [
      {
        lint: "crlDistributionPointsNotCritical",
        how: "critical",
        good,
        bytes: recriticised(good, oids.cRLDistributionPoints),
      },
      {
        lint: "crlDistributionPointsHttp",
        how: "LDAP",
        good,
        bytes: replaced(good, oids.cRLDistributionPoints, cRLDistributionPoints([ldap])),
        issuer: { crlUrl: () => ldap },
      },
      {
        lint: "crlDistributionPointOfSerial",
        how: "another list",
        good,
        bytes: replaced(good, oids.cRLDistributionPoints, elsewhere),
      },
      {
        lint: "authorityInfoAccessNotCritical",
        how: "critical",
        good,
        bytes: recriticised(good, oids.authorityInfoAccess),
      },
      {
        lint: "authorityInfoAccessHttp",
        how: "a relative URL",
        good,
        bytes: replaced(good, oids.authorityInfoAccess, authorityInfoAccess({ ocsp: ["/ocsp"] })),
        issuer: { ocspUrl: "/ocsp" },
      },
      {
        lint: "ocspOfIssuer",
        how: "another responder",
        good,
        bytes: replaced(good, oids.authorityInfoAccess, authorityInfoAccess({ ocsp: ["https://other.test/ocsp"] })),
      },
      { lint: "revocationOfProfile", how: "no list", good, bytes: replaced(good, oids.cRLDistributionPoints) },
      { lint: "revocationOfProfile", how: "no responder", good, bytes: replaced(good, oids.authorityInfoAccess) },
      {
        lint: "revocationOfProfile",
        how: "a list that the profile does not name",
        good,
        prepared: revoking(good, { crl: false }),
      },
      {
        lint: "revocationOfProfile",
        how: "a lifetime up to the threshold",
        good,
        prepared: revoking(good, { shortLivedMaxSeconds: 90_000 }),
      },
    ];
  }),
  {
    lint: "revocationOfProfile",
    how: "nothing said of a short life",
    good: workload,
    bytes: replaced(workload, oids.noRevAvail),
  },
];
