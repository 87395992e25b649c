/** The certificate resource and its alternates (RFC 8555 §7.4.2). */
import { caCertificatePath, type Chain } from "../authority/chain.ts";
import { preferredType } from "../encoding/accept.ts";
import { certsOnly } from "../x509/certsOnly.ts";
import { pemEncode } from "../x509/pem.ts";
import { noSuchResource, required, signer, type AcmeContext, type AcmeRequest } from "./context.ts";
import { link, type Reply } from "./resources.ts";

const pemChain = "application/pem-certificate-chain";
const leafAlone = "application/pkix-cert";
const bag = "application/pkcs7-mime;smime-type=certs-only";

/**
 * The chain, leaf first, for the account that ordered it; as PEM unless `Accept` asks for another type that there is. A type that there
 * is not gets the PEM chain as well: clients ask for all sorts of things and understand this one.
 * @throws {Problem} notFound
 */
export async function certificate(request: AcmeRequest, context: AcmeContext): Promise<Reply> {
  const owner = signer(request);
  const serial = request.parameters["serial"] ?? "";
  if (!/^([0-9a-f]{2}){9,20}$/.test(serial)) throw noSuchResource();
  const { der, issuerId } = required(await context.certificates.readCertificate(owner, Buffer.from(serial, "hex")));
  const chains = context.chainsOf(issuerId);
  const chain = chosenChain(chains, request.parameters["chain"]);
  return {
    status: 200,
    headers: {
      vary: "Accept",
      link: [...alternates(serial, chain, chains, context), ...ups(request, chain, context)],
    },
    ...representation(request, der, chain),
  };
}

const pemOf = (leaf: Buffer, { pem }: Pick<Chain, "pem">): string => pemEncode("CERTIFICATE", leaf) + pem;

/** The PEM chain of a certificate that was issued just now, as its resource shows it. */
export const issuedChain = (leaf: Buffer, issuerId: string, { chainsOf }: Pick<AcmeContext, "chainsOf">): string =>
  pemOf(leaf, chosenChain(chainsOf(issuerId), undefined));

/** The default one first. An issuer without any is none of a recorded certificate. */
function chosenChain(chains: readonly Chain[], id: string | undefined): Chain {
  const [standard, ...others] = chains;
  if (standard === undefined) throw new Error("the issuer of a recorded certificate is unknown");
  if (id === undefined) return standard;
  const chosen = others.find((one) => one.id === id);
  if (chosen === undefined) throw noSuchResource();
  return chosen;
}

/** Links to all the other chains, the default one among them. */
function alternates(serial: string, chain: Chain, chains: readonly Chain[], { urls }: AcmeContext): string[] {
  return chains.flatMap((other, index) => {
    if (other === chain) return [];
    return link(index === 0 ? urls.certificate(serial) : urls.alternate(serial, other.id), "alternate");
  });
}

/** A leaf alone says where its issuer's certificate is. */
function ups(request: AcmeRequest, { certificates: [issuer] }: Chain, { urls }: AcmeContext): string[] {
  if (typeOf(request) !== leafAlone || issuer === undefined) return [];
  return [link(urls.requested(caCertificatePath(issuer)), "up")];
}

const typeOf = ({ accept }: AcmeRequest) => preferredType(accept, [pemChain, leafAlone, bag]) ?? pemChain;

function representation(request: AcmeRequest, leaf: Buffer, { pem, certificates }: Chain) {
  const contentType = typeOf(request);
  switch (contentType) {
    case pemChain:
      return { contentType, body: pemOf(leaf, { pem }) };
    case leafAlone:
      return { contentType, body: leaf };
    case bag:
      return { contentType, body: certsOnly([leaf, ...certificates]) };
  }
}
