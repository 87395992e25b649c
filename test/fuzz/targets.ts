/** Every parser that the network reaches. */
import type { Target } from "./target.ts";
import { certificateChainTargets } from "./targets/certificateChain.ts";
import { caTargets } from "./targets/cas.ts";
import { certificateListTargets } from "./targets/certificateLists.ts";
import { deviceTargets } from "./targets/devices.ts";
import { dnsTargets } from "./targets/dns.ts";
import { encodingTargets } from "./targets/encoding.ts";
import { fieldTargets } from "./targets/fields.ts";
import { httpTargets } from "./targets/http.ts";
import { nameTargets } from "./targets/names.ts";
import { nitroTargets } from "./targets/nitro.ts";
import { ocspTargets } from "./targets/ocsp.ts";
import { platformTargets } from "./targets/platforms.ts";
import { remadeTargets } from "./targets/remade.ts";
import { sevSnpTargets } from "./targets/sevSnp.ts";
import { signatureTargets } from "./targets/signatures.ts";
import { signedDataTargets } from "./targets/signedData.ts";
import { tdxTargets } from "./targets/tdx.ts";
import { tpmTargets } from "./targets/tpm.ts";
import { x509Targets } from "./targets/x509.ts";

export const targets: readonly Target[] = [
  ...encodingTargets,
  ...nameTargets,
  ...x509Targets,
  ...signatureTargets,
  ...ocspTargets,
  ...signedDataTargets,
  ...certificateChainTargets,
  ...caTargets,
  ...certificateListTargets,
  ...nitroTargets,
  ...sevSnpTargets,
  ...dnsTargets,
  ...fieldTargets,
  ...httpTargets,
  ...tdxTargets,
  ...tpmTargets,
  ...platformTargets,
  ...deviceTargets,
  ...remadeTargets,
];
