/** Product lines of AMD EPYC with SEV-SNP: each has a root of its own (ARK), names, and a layout of TCB_VERSION. */

/** The names of the product lines as AMD's roots have them. */
export const productNames = ["Milan", "Genoa", "Turin"] as const;
export type ProductName = (typeof productNames)[number];

/** Versions of what runs below the guest. Each is a number of its own: more is later. */
export interface Tcb {
  readonly bootloader: number;
  readonly tee: number;
  readonly snp: number;
  readonly microcode: number;
  /** Turin alone. */
  readonly fmc?: number;
}

/** One product line. */
export interface Product {
  readonly name: ProductName;
  /** SHA-256 of the ARK that AMD publishes. */
  readonly arkSha256: string;
  /** The productName of a chip's certificate: the line's or a sibling's, a stepping perhaps behind it. */
  readonly leafNames: RegExp;
  /** Family, and least and greatest model of its processors. */
  readonly cpus: readonly (readonly [family: number, from: number, to: number])[];
  /**
   * For each octet of TCB_VERSION the last arc of the extension (1.3.6.1.4.1.3704.1.3.…) that the chip's certificate has for it. Octets that
   * are reserved have one too: it is 0, or not there.
   */
  readonly tcbLayout: readonly number[];
}

const zenThreeAndFour = [1, 2, 4, 5, 6, 7, 3, 8] as const;
const zenFive = [9, 1, 2, 3, 5, 6, 7, 8] as const;

export const products: Readonly<Record<ProductName, Product>> = {
  Milan: {
    name: "Milan",
    arkSha256: "69d063b45344d26a2e94e1f4210de49ef555308287d4c174445c95639a540bcd",
    leafNames: /^Milan(-[A-Za-z0-9]+)?$/,
    cpus: [[0x19, 0x00, 0x0f]],
    tcbLayout: zenThreeAndFour,
  },
  // Bergamo and Siena are certified as Genoa.
  Genoa: {
    name: "Genoa",
    arkSha256: "4c6598d19c18719c5dfd4a7d335f674e5bfe1d8f800cea2cf270c10d103db2f1",
    leafNames: /^(Genoa|Bergamo|Siena)(-[A-Za-z0-9]+)?$/,
    cpus: [
      [0x19, 0x10, 0x1f],
      [0x19, 0xa0, 0xaf],
    ],
    tcbLayout: zenThreeAndFour,
  },
  Turin: {
    name: "Turin",
    arkSha256: "1f084161a44bb6d93778a904877d4819cafa5d05ef4193b2ded9dd9c73dd3f6a",
    leafNames: /^Turin(-[A-Za-z0-9]+)?$/,
    cpus: [[0x1a, 0x00, 0x1f]],
    tcbLayout: zenFive,
  },
};

/** Arcs of the components that have a name; see `Product.tcbLayout`. */
const componentArcs = { bootloader: 1, tee: 2, snp: 3, microcode: 8, fmc: 9 } as const;

/** The components of a TCB_VERSION of this product. */
export function tcbOf(version: Buffer, { tcbLayout }: Product): Tcb {
  const component = (arc: number): number | undefined => version[tcbLayout.indexOf(arc)];
  const { bootloader, tee, snp, microcode, fmc } = componentArcs;
  const first = component(fmc);
  return {
    bootloader: component(bootloader) ?? 0,
    tee: component(tee) ?? 0,
    snp: component(snp) ?? 0,
    microcode: component(microcode) ?? 0,
    ...(first !== undefined && { fmc: first }),
  };
}

/** True when every component is at least what `floor` says; what it does not say is free. */
export function reachesFloor(tcb: Tcb, floor: Partial<Tcb>): boolean {
  const components = ["bootloader", "tee", "snp", "microcode", "fmc"] as const;
  return components.every((name) => (tcb[name] ?? 0) >= (floor[name] ?? 0));
}

/** True when processors of this family and model belong to the product. */
export function isCpuOf(
  { cpus }: Product,
  { family, model }: { readonly family: number; readonly model: number },
): boolean {
  return cpus.some(([of, from, to]) => family === of && model >= from && model <= to);
}
