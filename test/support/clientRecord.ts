/**
 * What works with which client, as the tests in `test/e2e/clients/` saw it. Each of them says at its end what its client did and what it
 * cannot do; that has to be what `record.json` says, from which the table in the README is made. `npm run clients:table` writes both.
 */
import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Test } from "tap";
import { repository } from "./program.ts";

/** The columns, in their order. */
export const capabilities = ["http-01", "dns-01", "wildcard", "tls-alpn-01", "IP address", "renew", "revoke"] as const;
export type Capability = (typeof capabilities)[number];

export interface ClientEntry {
  readonly client: string;
  /** Of the run that the record was made from. */
  readonly version: string;
  readonly works: readonly Capability[];
  /** Why the rest does not: the client's own limits. */
  readonly cannot: Partial<Readonly<Record<Capability, string>>>;
  /** What else somebody should know who uses it. */
  readonly remark?: string;
}

export const recordFile = join(repository, "test/e2e/clients/record.json");

/** The folder into which tests write what they saw, instead of comparing it, when the record is made anew. */
export const folderVariable = "MAYFLY_CLIENT_RECORDS";

/** The record as it is in the repository, sorted by the client's name. */
export const readRecord = (): ClientEntry[] => JSON.parse(readFileSync(recordFile, "utf8")) as ClientEntry[];

/** For one client: `did` notes what was seen to work, `end` holds it all against the record. */
export function clientRecord(about: Omit<ClientEntry, "works">): {
  did(...what: Capability[]): void;
  end(t: Test): Promise<void>;
} {
  const works = new Set<Capability>();
  return {
    did: (...what) => what.forEach((capability) => works.add(capability)),
    async end(t) {
      const seen: ClientEntry = { ...about, works: capabilities.filter((capability) => works.has(capability)) };
      for (const capability of capabilities)
        t.equal(works.has(capability), !(capability in about.cannot), `${about.client}: ${capability}`);
      const folder = process.env[folderVariable];
      if (folder !== undefined) {
        await writeFile(join(folder, `${about.client}.json`), JSON.stringify(seen));
        return;
      }
      const recorded = readRecord().find(({ client }) => client === about.client);
      // Debian mends its packages: another version of the same behaviour is no finding.
      t.strictSame({ ...seen, version: "" }, { ...recorded, version: "" }, "the record says the same");
    },
  };
}

/** The README's table, between its two marks. */
export function tableOf(record: readonly ClientEntry[]): string {
  const cells = (entry: ClientEntry): string[] => [
    `${entry.client} ${entry.version}`,
    ...capabilities.map((capability) => (entry.works.includes(capability) ? "yes" : "–")),
    remarksOf(entry),
  ];
  const rows = [["client", ...capabilities, "remarks"], Array.from({ length: capabilities.length + 2 }, () => "---")];
  return [...rows, ...record.map(cells)].map((row) => `| ${row.join(" | ")} |`).join("\n");
}

function remarksOf({ cannot, remark }: ClientEntry): string {
  const reasons = capabilities.flatMap((capability) => {
    const reason = cannot[capability];
    return reason === undefined ? [] : [`${capability}: ${reason}`];
  });
  return [...reasons, ...(remark === undefined ? [] : [remark])].join("; ");
}

const marks = ["<!-- clients: npm run clients:table -->", "<!-- /clients -->"] as const;

/** A page with this table between its marks. @throws {Error} where they are missing */
export function withTable(page: string, table: string): string {
  const [begin, end] = marks.map((mark) => page.indexOf(mark)) as [number, number];
  if (begin < 0 || end < begin) throw new Error("the page has no marks for the table of clients");
  return `${page.slice(0, begin)}${marks[0]}\n\n${table}\n\n${page.slice(end)}`;
}
