/** The system's own table of names, hosts(5): it is looked into before the DNS is asked, as everything else on this machine does. */
import { readFile } from "node:fs/promises";
import { isIP } from "node:net";

export interface HostsFile {
  /** The addresses that the file has for a name, in its order; none where it has none, or is not there. */
  addresses(name: string): Promise<readonly string[]>;
}

/** For so long what was read counts; a crowd of lookups reads once. */
const keptMs = 1_000;

/** Reads `path` when it is asked, and again when that was a while ago. */
export function createHostsFile(path = "/etc/hosts"): HostsFile {
  let table: Promise<Map<string, string[]>> | undefined;
  let readAt = -Infinity;
  return {
    async addresses(name) {
      if (table === undefined || performance.now() - readAt > keptMs) {
        readAt = performance.now();
        table = readFile(path, "utf8").then(parse, () => new Map<string, string[]>());
      }
      return (await table).get(name.toLowerCase()) ?? [];
    },
  };
}

function parse(text: string): Map<string, string[]> {
  const table = new Map<string, string[]>();
  for (const line of text.split("\n")) {
    const [address = "", ...names] = line.replace(/#.*/, "").trim().split(/\s+/);
    if (isIP(address) === 0) continue;
    for (const name of names.map((written) => written.toLowerCase().replace(/\.$/, ""))) {
      const known = table.get(name);
      if (known === undefined) table.set(name, [address]);
      else known.push(address);
    }
  }
  return table;
}
