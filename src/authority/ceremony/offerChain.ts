/** A certificate that another CA gave to a key of ours, with its way up, becomes an alternate chain (RFC 8555 §7.4.2). */
import { chainForDatabase, type OwnCertificates } from "../alternateChains.ts";
import { standardChains, type CertifiedIssuer } from "../standardChains.ts";
import type { StoredIssuer } from "../ports.ts";
import { describeCertificate } from "./describe.ts";
import { CeremonyStopped, type CeremonyGround, type Standing } from "./ground.ts";
import type { OfferChain } from "./steps.ts";

export async function offerChain({ certificateFile }: OfferChain, ground: CeremonyGround): Promise<Standing> {
  const pem = await ground.files.read(certificateFile);
  if (pem === undefined) return { is: "waiting", on: `the certificate ${certificateFile}` };
  const store = await ground.store();
  const own = ownOf(await store.readIssuers());
  const { chain, issuerIds } = read(() => chainForDatabase({ file: certificateFile, pem }, own, ground.now()));
  const lines = chain.certificates.flatMap((der) => describeCertificate(der));
  const stored = await store.readChains();
  if (stored.some(({ id }) => id === chain.id)) return { is: "done", lines };
  return {
    is: "ready",
    exclusive: true,
    plan: [
      "the chain, from our key up:",
      ...lines.map((line) => `  ${line}`),
      `offers it to clients as an alternate chain of ${issuerIds.length} issuing CA${issuerIds.length === 1 ? "" : "s"}`,
    ],
    async act() {
      await store.insertChain({ id: chain.id, certificates: chain.certificates }, ground.actor);
      return [`chain ${chain.id}`, ...lines];
    },
  };
}

function ownOf(stored: readonly StoredIssuer[]): OwnCertificates {
  const certified = stored.filter((one): one is CertifiedIssuer => one.certificate !== null);
  return {
    roots: certified.filter(({ kind }) => kind === "root"),
    issuing: certified.filter(({ kind }) => kind === "issuing"),
    chains: standardChains(certified),
  };
}

function read<T>(act: () => T): T {
  try {
    return act();
  } catch (error) {
    throw new CeremonyStopped((error as Error).message, { cause: error });
  }
}
