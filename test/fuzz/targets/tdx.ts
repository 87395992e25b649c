/** TDX quotes, their collateral and revocation lists. */
import { EvidenceRefused } from "../../../src/attestation/evidence.ts";
import { verifyTdx } from "../../../src/attestation/formats/tdx.ts";
import { readQeIdentity, readTcbInfo } from "../../../src/attestation/tdx/tcb.ts";
import { createLru } from "../../../src/cache/lru.ts";
import { readCertificateList } from "../../../src/x509/certificateList.ts";
import { DerError } from "../../../src/x509/der.ts";
import { context as anyContext } from "../../attestation/testIssuer.ts";
import { issue, revocationList } from "../../support/platformCertificates.ts";
import {
  goodQeIdentity,
  goodTcbInfo,
  tdxCollateral,
  tdxNow,
  tdxPlatform,
  tdxQuote,
} from "../../support/tdxPlatform.ts";
import { bendBytes, bendText } from "../mutate.ts";
import { bendDer } from "../mutateDer.ts";
import { holds, readOrRefuse, type Target, type Verdict } from "../target.ts";

const platform = tdxPlatform();
const context = { ...anyContext, now: tdxNow };
const reportData = Buffer.concat([Buffer.from(context.binding ?? "", "base64url"), Buffer.alloc(32)]);
const quotes = [
  tdxQuote(platform, { reportData }),
  tdxQuote(platform, { reportData, version: 5 }),
  tdxQuote(platform, { reportData, trailing: Buffer.alloc(100) }),
];
const goodCollateral = tdxCollateral(platform);
const settings = { ref: "tdx", format: "tdx", rootSha256: platform.rootSha256 };
const trust = { verified: createLru<string, true>(100) };

async function verdictOf(value: string, collateral: string): Promise<Verdict> {
  const item = { format: "tdx", ref: "tdx", value, endorsements: { collateral } };
  try {
    const { claims } = await verifyTdx(item, settings, trust, context);
    holds(claims["mrTd"] === "91".repeat(48) && claims["tcbStatus"] === "UpToDate", "claims that nobody signed");
    return "accepted";
  } catch (error) {
    if (error instanceof EvidenceRefused) return "refused";
    throw error;
  }
}

const quote: Target = {
  name: "tdx-quote",
  about: "TDX quotes; what is not signed is not read",
  cases: 1_500,
  slowMs: 200,
  make: (random) => (random.chance(0.1) ? random.pick(quotes) : bendBytes(random, random.pick(quotes))),
  check: (input) => verdictOf(input.toString("base64url"), goodCollateral),
};

const [goodQuote = Buffer.alloc(0)] = quotes;

const collateral: Target = {
  name: "tdx-collateral",
  about: "collateral of a good quote",
  cases: 1_000,
  slowMs: 200,
  make: (random) => Buffer.from(random.chance(0.15) ? goodCollateral : bendText(random, goodCollateral)),
  check: (input) => verdictOf(goodQuote.toString("base64url"), input.toString("utf8")),
};

const documents = [goodTcbInfo, goodQeIdentity].map((one) => JSON.stringify(one));

const tcb: Target = {
  name: "tdx-tcb",
  about: "TCB information and enclave identities, as if they were signed",
  cases: 3_000,
  slowMs: 200,
  make: (random) => Buffer.from(bendText(random, random.pick(documents))),
  check(input) {
    const read = [readTcbInfo, readQeIdentity].map((one) => readOrRefuse(() => one(input), EvidenceRefused));
    return read.some((found) => found !== undefined) ? "accepted" : "refused";
  },
};

const ca = issue({ commonName: "ca" });
const lists = [revocationList(ca), revocationList(ca, { revoked: [Buffer.from([1]), Buffer.from([2])] })];

const list: Target = {
  name: "revocation-list",
  about: "certificate revocation lists",
  cases: 3_000,
  slowMs: 200,
  make: (random) =>
    random.chance(0.2) ? bendBytes(random, random.pick(lists), 1) : bendDer(random, random.pick(lists), 1),
  check(input) {
    const found = readOrRefuse(() => readCertificateList(input), DerError);
    if (found === undefined) return "refused";
    holds(input.includes(found.tbs) && input.includes(found.signature), "octets from elsewhere");
    return "accepted";
  },
};

export const tdxTargets: readonly Target[] = [quote, collateral, tcb, list];
