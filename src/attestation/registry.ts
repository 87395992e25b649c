/** The formats of evidence that this server verifies. What is not in this list is refused. */
import { Type } from "typebox";
import { type EvidenceFormat, pinningFault, pinningSchema, pinsAsStrictlyAs, type SourceSettings } from "./format.ts";
import { androidKeyFormat } from "./formats/androidKey.ts";
import { appleFormat } from "./formats/apple.ts";
import { atcFormat } from "./formats/atc.ts";
import { awsIidFormat } from "./formats/awsIid.ts";
import { awsNitroFormat } from "./formats/awsNitro.ts";
import { azureImdsFormat } from "./formats/azureImds.ts";
import { jwtFormat } from "./formats/jwt.ts";
import { k8sFormat } from "./formats/k8s.ts";
import { sevSnpFormat } from "./formats/sevSnp.ts";
import { tdxFormat } from "./formats/tdx.ts";
import { spiffeJwtFormat } from "./formats/spiffeJwt.ts";
import { packedFormat } from "./formats/packed.ts";
import { tpmFormat } from "./formats/tpm.ts";
import { tpmDeviceFormat } from "./formats/tpmDevice.ts";
import { x509PopFormat } from "./formats/x509Pop.ts";

/** As the documentation has them: tokens and possession, hardware, documents of clouds, devices. */
const formats = [
  jwtFormat,
  k8sFormat,
  spiffeJwtFormat,
  x509PopFormat,
  atcFormat,
  tpmFormat,
  awsNitroFormat,
  sevSnpFormat,
  tdxFormat,
  awsIidFormat,
  azureImdsFormat,
  packedFormat,
  androidKeyFormat,
  appleFormat,
  tpmDeviceFormat,
] as unknown as readonly EvidenceFormat[];

const byName: ReadonlyMap<string, EvidenceFormat> = new Map(formats.map((format) => [format.name, format]));

export const evidenceFormats: readonly string[] = formats.map(({ name }) => name);

/** @throws {Error} when there is no such format; settings that passed `sourceSchema` have one */
export function formatNamed(name: string): EvidenceFormat {
  const format = byName.get(name);
  if (format === undefined) throw new Error(`there is no format of evidence "${name}"`);
  return format;
}

const ref = Type.String({ pattern: "^[a-z0-9-]{1,40}$", description: "Name of the source in challenges and grants." });
const pinning = Type.Optional(pinningSchema);

/** One entry of the configured sources, as far as all formats agree; `sourceSchemaOf` says the rest. */
export const sourceSchema = Type.Object(
  { ref, format: Type.Enum([...evidenceFormats]) },
  { additionalProperties: true, description: "What else belongs to a source depends on its format." },
);

/** One entry of the configured sources, of this format. */
export const sourceSchemaOf = ({ name, properties }: EvidenceFormat) =>
  Type.Object({ ref, format: Type.Literal(name), pinning, ...properties }, { additionalProperties: false });

/**
 * Refuses a source that cannot work or must not.
 * @param at - where it stands, for messages
 * @throws {Error} naming key, value and what was expected
 */
export function checkSource(settings: SourceSettings, at = `sources.${settings.ref}`): void {
  const format = formatNamed(settings.format);
  const refuse = (expected: string): never => {
    throw new Error(`${at}.pinning: ${JSON.stringify(settings.pinning)}: ${expected}`);
  };
  if (settings.pinning !== undefined) {
    const fault = pinningFault(settings.pinning);
    if (fault !== undefined) refuse(fault);
    if (format.pinning !== undefined && !pinsAsStrictlyAs(settings.pinning, format.pinning))
      refuse(
        `expected at least ${format.pinning.mode}, the least for format ${format.name}: others could show its evidence`,
      );
  }
  format.check?.(settings, at);
}
