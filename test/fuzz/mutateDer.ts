/** Bending of DER as a tree of elements, by a reader and writer of its own that shares nothing with `src/x509/der.ts` and is not strict. */
import { bendBytes } from "./mutate.ts";
import type { Random } from "./random.ts";

interface Node {
  readonly tag: number;
  /** Octets of a primitive element; of a constructed one, its children. */
  readonly content: Buffer | readonly Node[];
  /** How the length is written, where it is not as DER has it. */
  readonly length?: "long" | "longer" | "indefinite" | "wrong";
}

function read(bytes: Buffer): Node[] {
  const nodes: Node[] = [];
  let at = 0;
  while (at + 2 <= bytes.length) {
    const tag = bytes[at] ?? 0;
    let length = bytes[at + 1] ?? 0;
    let start = at + 2;
    if (length > 0x80) {
      const octets = length & 0x7f;
      // Octets that are no DER may come here as well: what stands in an OCTET STRING, say. They end where nobody would read on.
      if (octets > 6 || start + octets > bytes.length) return nodes;
      length = bytes.readUIntBE(start, octets);
      start += octets;
    }
    const content = bytes.subarray(start, start + length);
    nodes.push({ tag, content: (tag & 0x20) !== 0 ? read(content) : content });
    at = start + length;
  }
  return nodes;
}

function write({ tag, content, length: form }: Node): Buffer {
  const octets = Buffer.isBuffer(content) ? content : Buffer.concat(content.map(write));
  const { length } = octets;
  if (form === "indefinite") return Buffer.concat([Buffer.from([tag, 0x80]), octets, Buffer.alloc(2)]);
  const counted = form === "wrong" ? length + 1 : length;
  const digits = counted.toString(16).padStart(counted > 0xffff ? 6 : counted > 0xff || form === "longer" ? 4 : 2, "0");
  const short = counted < 0x80 && form !== "long" && form !== "longer";
  const head = short
    ? Buffer.from([counted])
    : Buffer.from([0x80 | (digits.length / 2), ...Buffer.from(digits, "hex")]);
  return Buffer.concat([Buffer.from([tag]), head, octets]);
}

const knownTags = [
  1, 2, 3, 4, 5, 6, 10, 12, 0x13, 0x16, 0x17, 0x18, 0x1e, 0x30, 0x31, 0x80, 0x81, 0x82, 0x86, 0x87, 0xa0, 0xa3, 0x1f, 0,
];

/** DER with one to three elements bent: another tag or length form, content changed, doubled, left out, moved, or wrapped. */
export function bendDer(random: Random, der: Buffer, changes = 1 + random.below(3)): Buffer {
  let nodes: readonly Node[] = read(der);
  for (let round = 0; round < changes; round++) {
    const count = nodes.reduce((sum, node) => sum + size(node), 0);
    if (count === 0) return bendBytes(random, der);
    const chosen = random.below(count);
    let seen = 0;
    const visit = (node: Node): readonly Node[] => {
      if (seen++ === chosen) return bendNode(random, node);
      return [Buffer.isBuffer(node.content) ? node : { ...node, content: node.content.flatMap(visit) }];
    };
    nodes = nodes.flatMap(visit);
    if (nodes.length === 0) break;
  }
  return Buffer.concat(nodes.map(write));
}

const size = ({ content }: Node): number =>
  1 + (Buffer.isBuffer(content) ? 0 : content.reduce((sum, node) => sum + size(node), 0));

function bendNode(random: Random, node: Node): readonly Node[] {
  switch (random.below(9)) {
    case 0:
      return [{ ...node, tag: random.pick(knownTags) }];
    case 1:
      return [{ ...node, length: random.pick(["long", "longer", "indefinite", "wrong"] as const) }];
    case 2:
      return [node, node];
    case 3:
      return [];
    case 4:
      return [{ tag: random.pick([0x30, 0x31, 0xa0]), content: [node] }];
    case 5:
      return Array.isArray(node.content)
        ? [{ ...node, content: node.content.toReversed() as Node[] }]
        : [bendContent(random, node)];
    default:
      return [bendContent(random, node)];
  }
}

/** Of an OCTET STRING that holds DER, what is inside: extensions are such. */
function bendContent(random: Random, node: Node): Node {
  if (!Buffer.isBuffer(node.content))
    return { ...node, content: [...node.content, { tag: 5, content: Buffer.alloc(0) }] };
  const inner = node.content;
  const holdsDer = node.tag === 4 && inner.length > 2 && inner[0] === 0x30 && inner[1] === inner.length - 2;
  return { ...node, content: holdsDer && random.chance(0.8) ? bendDer(random, inner, 1) : bendBytes(random, inner, 1) };
}
