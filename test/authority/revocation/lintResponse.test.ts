import t from "tap";
import { lintResponse, responseLintNames } from "../../../src/authority/revocation/lintResponse.ts";
import {
  certIdOf,
  prepareResponse,
  type PreparedResponse,
  type Statement,
} from "../../../src/authority/revocation/prepareResponse.ts";
import { LintFailed } from "../../../src/authority/lint.ts";
import {
  encodeResponseData,
  readResponseData,
  type ResponseData,
  type SingleResponse,
} from "../../../src/x509/ocspResponse.ts";
import { memoryHierarchy } from "../../support/issuers.ts";

const now = new Date("2026-11-26T12:00:00.750Z");
const { issuing } = await memoryHierarchy(now);
const later = (seconds: number): Date => new Date(Math.floor(now.getTime() / 1000) * 1000 + seconds * 1000);
const statement: Statement = {
  issuer: issuing,
  serial: Buffer.alloc(16, 0x4f),
  hash: "sha1",
  revocation: { at: later(-60), reason: 1 },
  notAfter: later(86_400),
  nonce: Buffer.alloc(32, 1),
};

t.test(
  "what is prepared meets every lint: good and revoked, with and without reason and nonce, with either hash",
  async (t) => {
    for (const revocation of [null, { at: later(-60), reason: null }, statement.revocation]) {
      for (const hash of ["sha1", "sha256"] as const) {
        for (const nonce of [undefined, statement.nonce]) {
          const prepared = prepareResponse({ ...statement, revocation, hash, nonce }, now, 3600);
          t.equal(lintResponse(prepared), prepared);
          t.same([prepared.thisUpdate, prepared.nextUpdate], [later(0), later(3600)], "whole seconds");
        }
      }
    }
  },
);

t.test("it says nothing beyond the end of its issuer", async (t) => {
  const nearEnd = new Date(issuing.notAfter.getTime() - 5000);
  const prepared = prepareResponse({ ...statement, notAfter: issuing.notAfter }, nearEnd, 3600);
  t.same(prepared.nextUpdate, issuing.notAfter);
  t.equal(lintResponse(prepared), prepared);
  t.throws(() => prepareResponse(statement, issuing.notAfter, 3600), RangeError);
});

const prepared = prepareResponse(statement, now, 3600);
const data = readResponseData(prepared.tbs);
const [single] = data.responses;
if (single === undefined) throw new Error("it says something");
const rewritten = (changes: Partial<ResponseData>, over: Partial<PreparedResponse> = {}): PreparedResponse => ({
  ...prepared,
  tbs: encodeResponseData({ ...data, ...changes }),
  ...over,
});
const saying = (changes: Partial<SingleResponse>, over: Partial<PreparedResponse> = {}): PreparedResponse =>
  rewritten({ responses: [{ ...single, ...changes } as SingleResponse] }, over);

t.test("every lint finds its fault", async (t) => {
  const broken: Readonly<Record<string, readonly PreparedResponse[]>> = {
    ocspOneCertificate: [rewritten({ responses: [single, single] })],
    ocspResponderIsIssuer: [
      rewritten({ responderId: { byKey: Buffer.alloc(20) } }),
      rewritten({ responderId: { byName: issuing.subject } }),
    ],
    ocspCertIdIsOurs: [
      saying({ certId: { ...single.certId, serialNumber: Buffer.alloc(16, 0x4e) } }),
      saying({ certId: certIdOf(issuing, "sha256", statement.serial) }),
      saying({ certId: { ...single.certId, issuerNameHash: Buffer.alloc(20) } }),
      saying({ certId: { ...single.certId, issuerKeyHash: Buffer.alloc(20) } }),
    ],
    ocspStatusIsTheRecorded: [
      saying({ status: "good" }),
      saying({ status: "unknown" }),
      saying({ reason: 4 }),
      saying({ revocationTime: later(-61) }),
      { ...prepared, revocation: null },
    ],
    ocspReason: [saying({ reason: 6 }, { revocation: { at: later(-60), reason: 6 } })],
    ocspTimes: [
      saying({ nextUpdate: undefined }),
      saying({ thisUpdate: later(1) }, { thisUpdate: later(1) }),
      saying({ nextUpdate: later(0) }, { nextUpdate: later(0) }),
      saying({ nextUpdate: later(3601) }),
    ],
    ocspRevokedInThePast: [saying({ revocationTime: later(1) }, { revocation: { at: later(1), reason: 1 } })],
    ocspIssuerOutlivesResponse: [{ ...prepared, issuer: { ...issuing, notAfter: later(3599) } }],
    ocspCertificateNotExpired: [{ ...prepared, notAfter: later(-1) }],
    ocspNonceIsTheAsked: [
      rewritten({ nonce: undefined }),
      rewritten({ nonce: Buffer.alloc(32, 2) }),
      { ...prepared, nonce: undefined },
    ],
  };
  t.same(Object.keys(broken).sort(), responseLintNames.map(({ name }) => name).sort(), "all of them");
  for (const [name, faults] of Object.entries(broken)) {
    for (const fault of faults) {
      try {
        lintResponse(fault);
        t.fail(`${name} is not found`);
      } catch (error) {
        if (!(error instanceof LintFailed)) throw error;
        t.match(error.findings.join("\n"), new RegExp(`^${name} `, "m"));
      }
    }
  }
});
