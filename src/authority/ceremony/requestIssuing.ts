/**
 * The key of an issuing CA, in this server's token, and a request for its certificate. The issuer waits for that in the database; nothing is
 * issued before.
 */
import { createHash } from "node:crypto";

import type { Signer } from "../../keys/signer.ts";
import { readCaRequest } from "../../x509/csr.ts";
import { pemEncode } from "../../x509/pem.ts";
import { lintCaRequest, prepareCaRequest, requestOf } from "../caRequest.ts";
import { defaultIssuerName } from "../issuer.ts";
import { issuingKey } from "../issuingKey.ts";
import type { StoredIssuer } from "../ports.ts";
import { describeConstraints, describeRequest, fingerprint } from "./describe.ts";
import { CeremonyStopped, type CeremonyGround, type Standing } from "./ground.ts";
import { ceremonyKey, constraintsOf, shortName, subjectName } from "./signing.ts";
import type { RequestIssuing } from "./steps.ts";

/** How the step stands, and how it is done. */
export async function requestIssuing(step: RequestIssuing, ground: CeremonyGround): Promise<Standing> {
  const { line = defaultIssuerName, requestFile } = step;
  const own = (await (await ground.store()).readIssuers()).filter((one) => one.kind === "issuing" && one.name === line);
  const label = step.keyLabel ?? ground.keyLabel;
  // One that the rotation prepared waits in the same way, under a label of its own.
  const known =
    own.find(({ keyLabel }) => keyLabel === label) ??
    (step.keyLabel === undefined ? own.find(({ certificate }) => certificate === null) : undefined);
  if (known !== undefined) return await standingOf(known, step, ground);
  if ((await ground.files.read(requestFile)) !== undefined)
    throw new CeremonyStopped(
      `${requestFile}: is there already, and no issuer of the line ${line} waits for it; name another file`,
    );
  await ground.files.requireRoom(requestFile);

  const generation = Math.max(0, ...own.map((one) => one.generation)) + 1;
  const subject = step.subject ?? {
    organization: "Mayfly",
    commonName: shortName(`Mayfly Issuing CA ${generation} ${ground.trustDomain}`),
  };
  const nameConstraints = constraintsOf(step.nameConstraints);
  const key = await ceremonyKey(label, step.keyKind ?? "ec-p256", ground);
  return {
    is: "ready",
    exclusive: true,
    plan: [
      key.plan,
      `signs a request for ${Object.values(subject).join(", ")}, an issuing CA of spiffe://${ground.trustDomain} with no CA below it`,
      ...describeConstraints(nameConstraints),
      `lets issuer ${generation} of the line ${line} wait for its certificate in the database, and writes the request to ${requestFile}`,
    ],
    async act() {
      const signer = await key.take();
      const request = await signRequest(
        signer,
        { subject: subjectName(subject), pathLength: 0, nameConstraints },
        ground,
      );
      const row: Omit<
        StoredIssuer,
        "createdAt" | "publishedAt" | "activatedAt" | "retiringAt" | "retiredAt" | "revokedAt"
      > = {
        id: ground.newId(),
        kind: "issuing",
        name: line,
        generation,
        state: "prepared",
        certificate: null,
        request,
        keyLabel: signer.label,
        signatureAlgorithm: signer.algorithm,
        parentId: null,
        crlShards: ground.crlShards,
      };
      const spkiSha256 = createHash("sha256").update(signer.spki).digest();
      await (await ground.store()).insertIssuers([{ ...row, notAfter: null, spkiSha256 }]);
      await ground.files.write(requestFile, pemEncode("CERTIFICATE REQUEST", request));
      return describeRequest(readCaRequest(request));
    },
  };
}

/** What is asked for in a request of ours. */
interface Asked {
  readonly subject: Buffer;
  readonly pathLength: number | undefined;
  readonly nameConstraints?: ReturnType<typeof constraintsOf>;
}

/** Prepare, lint, say so, sign. */
export async function signRequest(signer: Signer, asked: Asked, ground: CeremonyGround): Promise<Buffer> {
  const { spki, algorithm } = signer;
  const linted = lintCaRequest(prepareCaRequest({ ...asked, spki, algorithm, trustDomain: ground.trustDomain }));
  await ground.announce(
    `signs with the key ${signer.label}: a request, to be signed SHA-256 ${fingerprint(linted.tbs)}`,
  );
  return requestOf(linted, await issuingKey(signer).sign(linted));
}

/** An issuer that was requested before; its request is written again where the file is gone. */
async function standingOf(
  known: StoredIssuer,
  { requestFile }: RequestIssuing,
  { files }: CeremonyGround,
): Promise<Standing> {
  const { generation, name, request, certificate } = known;
  if (request === null || certificate !== null)
    return {
      is: "done",
      lines: [`issuer ${generation} of the line ${name} (key ${known.keyLabel}) has its certificate`],
    };
  const lines = describeRequest(readCaRequest(request));
  const pem = pemEncode("CERTIFICATE REQUEST", request);
  const there = await files.read(requestFile);
  if (there === pem) return { is: "done", lines };
  if (there !== undefined)
    throw new CeremonyStopped(`${requestFile}: has another request than the one of issuer ${generation}`);
  await files.requireRoom(requestFile);
  return {
    is: "ready",
    plan: [`writes the request that issuer ${generation} of the line ${name} waits with to ${requestFile}`],
    async act() {
      await files.write(requestFile, pem);
      return lines;
    },
  };
}
