/** Whether names were proved, by what the inventory will keep of it. Pure; a second way to what the decision says. */
import type { Authorization, CertificateNames, ProofRecord } from "./authorize.ts";

const typeOf = { dns: "dns", ip: "ip", uri: "uri", permanentIdentifiers: "permanent-identifier" } as const;

/** True where every name has its proof: the listener's in the configuration, all others one that names them. */
export function provesAll(
  evidence: readonly ProofRecord[],
  { names, door }: Pick<Authorization, "names" | "door">,
): boolean {
  if (door === "listener") return evidence.some(({ proved }) => proved.by === "configuration");
  return (Object.keys(typeOf) as (keyof CertificateNames)[]).every((kind) =>
    names[kind].every((name) => evidence.some((proof) => proves(proof, typeOf[kind], name))),
  );
}

function proves(proof: ProofRecord, type: (typeof typeOf)[keyof typeof typeOf], name: string): boolean {
  if (!("identifier" in proof) || proof.identifier.type !== type || proof.identifier.value !== name) return false;
  const { proved } = proof;
  if (proved.by === "attestation") return type === "uri" || type === "permanent-identifier";
  if (type === "uri" || type === "permanent-identifier") return false; // H-26: evidence only.
  return proved.of === undefined || (type === "dns" && isBelow(name, proved.of));
}

/** RFC 9444: the ancestor itself, or a name below it. */
const isBelow = (name: string, ancestor: string): boolean => name === ancestor || name.endsWith(`.${ancestor}`);
