/** Configuration to begin with for a platform that the format `jwt` has a preset for: a source and grants, as YAML. */
import { stringify } from "yaml";
import { presets, type ExampleGrant, type Preset } from "../attestation/presets.ts";

/** The presets, in the order of their table. */
export const presetNames: readonly { readonly name: string; readonly platform: string }[] = presets;

/** A whole configuration; undefined when there is no such preset. Everything that is somebody's own in it is an example. */
export function presetExample(name: string, trustDomain = "example.org"): string | undefined {
  const preset = presets.find((one) => one.name === name);
  return preset && [`# ${preset.platform}.`, sourceOf(preset, trustDomain), grantsOf(preset, trustDomain)].join("\n");
}

const refOf = ({ name }: Preset): string => name;

function sourceOf(preset: Preset, trustDomain: string): string {
  const source = { ref: refOf(preset), format: "jwt", preset: preset.name, ...preset.example };
  return stringify({ trustDomain, attestation: { sources: [source] } }, { lineWidth: 0 });
}

function grantsOf(preset: Preset, trustDomain: string): string {
  const written = preset.grants.map((grant) => {
    const lines = stringify([grantOf(preset, grant, trustDomain)], { lineWidth: 0 })
      .trimEnd()
      .split("\n");
    return [`# ${grant.about}`, ...lines].map((line) => `  ${line}\n`).join("");
  });
  return `grants:\n${written.join("")}`;
}

function grantOf(preset: Preset, { name, path, conditions, minBinding }: ExampleGrant, trustDomain: string): object {
  const spiffeId = `spiffe://${trustDomain}${path}`;
  return { name, spiffeId, source: refOf(preset), conditions, minBinding, profile: "workload" };
}
