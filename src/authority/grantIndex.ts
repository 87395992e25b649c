/**
 * Grants by the shape of their identities, so that a request costs what its own grants cost, however many there are. A tree over the
 * segments of the templates: fixed ones are found by their text, those with a placeholder are tried. Devices by their names. Pure.
 */
import type { SpiffeId } from "../x509/spiffeId.ts";
import { couldDeriveDevice } from "./deviceTemplate.ts";
import { readIdentity, type Identity } from "./grantedIdentity.ts";
import type { Grant } from "./grants.ts";
import { couldFill, type TemplateSegment } from "./grantTemplate.ts";

export interface GrantIndex {
  readonly grants: readonly Grant[];
  readonly byName: ReadonlyMap<string, Grant>;
  /** Those that could give this SPIFFE ID or permanent identifier to some evidence, in their order. None for what is neither. */
  ableTo(identifier: string): readonly Grant[];
}

/** One place in the tree: what may follow, and the grants whose template ends here by their places in the list. */
interface Node {
  readonly fixed: Map<string, Node>;
  /** By the fixed text before the placeholder, and then by what they let through: which claim fills it does not matter. */
  readonly open: Map<string, Map<string, Open>>;
  readonly ends: number[];
}

interface Open {
  readonly segment: TemplateSegment;
  readonly next: Node;
}

const emptyNode = (): Node => ({ fixed: new Map(), open: new Map(), ends: [] });

/** Grants with different names, in the order in which they are asked. */
export function indexGrants(grants: readonly Grant[]): GrantIndex {
  const domains = new Map<string, Node>();
  const devices = new Map<string, number[]>();
  for (const [place, { identity }] of grants.entries()) {
    if (identity.type === "permanent-identifier") {
      const { claim, device } = identity.template;
      entryOf(devices, claim === undefined ? device : anyDevice, () => []).push(place);
      continue;
    }
    const { template } = identity;
    let node = entryOf(domains, template.trustDomain, emptyNode);
    for (const segment of template.segments) node = nextOf(node, segment);
    node.ends.push(place);
  }
  function placesOfDevice({ id }: Extract<Identity, { type: "permanent-identifier" }>): number[] {
    const named = [...(devices.get(id.device) ?? []), ...(devices.get(anyDevice) ?? [])];
    return named.filter((place) => {
      const identity = grants[place]?.identity;
      return identity?.type === "permanent-identifier" && couldDeriveDevice(identity.template, id);
    });
  }
  return {
    grants,
    byName: new Map(grants.map((grant) => [grant.name, grant])),
    ableTo(identifier) {
      const wanted = readIdentity(identifier);
      if (wanted === undefined) return [];
      const places = wanted.type === "uri" ? placesOf(domains, wanted.id) : placesOfDevice(wanted);
      return places.sort((a, b) => a - b).flatMap((place) => grants[place] ?? []);
    },
  };
}

function nextOf({ fixed, open }: Node, segment: TemplateSegment): Node {
  const { before, placeholder, after } = segment;
  if (placeholder === undefined) return entryOf(fixed, before, emptyNode);
  const begun = entryOf(open, before, () => new Map<string, Open>());
  return entryOf(begun, `${placeholder.transform ?? ""}}${after}`, () => ({ segment, next: emptyNode() })).next;
}

/** Under this the grants whose evidence names the device; no device is called so. */
const anyDevice = "/";

function placesOf(domains: ReadonlyMap<string, Node>, { trustDomain, segments }: SpiffeId): number[] {
  const root = domains.get(trustDomain);
  let nodes = root === undefined ? [] : [root];
  for (const text of segments) {
    nodes = nodes.flatMap((node) => nodesAfter(node, text));
  }
  return nodes.flatMap(({ ends }) => ends);
}

function nodesAfter({ fixed, open }: Node, text: string): Node[] {
  const same = fixed.get(text);
  const found = same === undefined ? [] : [same];
  if (open.size === 0) return found;
  for (let length = 0; length < text.length; length++) {
    for (const { segment, next } of open.get(text.slice(0, length))?.values() ?? [])
      if (couldFill(segment, text)) found.push(next);
  }
  return found;
}

function entryOf<Key, Value>(map: Map<Key, Value>, key: Key, make: () => Value): Value {
  let value = map.get(key);
  if (value === undefined) map.set(key, (value = make()));
  return value;
}
