/** The certificate resource (RFC 8555 §7.4.2). */
import { pemEncode } from "../x509/pem.ts";
import { noSuchResource, required, signer, type AcmeContext, type AcmeRequest } from "./context.ts";
import type { Reply } from "./resources.ts";

/**
 * The chain as PEM, leaf first, for the account that ordered it. Other types in `Accept` get this one as well: clients ask for all
 * sorts of things and understand one.
 * @throws {Problem} notFound
 */
export async function certificate(request: AcmeRequest, { certificates, chainPemOf }: AcmeContext): Promise<Reply> {
  const owner = signer(request);
  const serial = request.parameters["serial"] ?? "";
  if (!/^([0-9a-f]{2}){9,20}$/.test(serial)) throw noSuchResource();
  const { der, issuerId } = required(await certificates.readCertificate(owner, Buffer.from(serial, "hex")));
  const chain = chainPemOf(issuerId);
  if (chain === undefined) throw new Error("the issuer of a recorded certificate is unknown");
  return { status: 200, body: pemEncode("CERTIFICATE", der) + chain, contentType: "application/pem-certificate-chain" };
}
