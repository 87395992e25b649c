/** Two flows in turn against one server in one sitting, because the machine differs from minute to minute. */
import type { ObservedExchange } from "../src/client/session.ts";
import type { Flow } from "./flows.ts";
import type { Plan } from "./load.ts";
import { measurePhase } from "./ownServer.ts";
import type { ServerUnderTest } from "./serverUnderTest.ts";

type MakeFlow = (observe: (exchange: ObservedExchange) => void) => Flow;

/** How often each has its turn. The first turns warm the server's code up and are not counted: otherwise whoever is first pays for it. */
const rounds = 4;
const cpuTitles = ["server CPU ms each", "Postgres CPU ms each", "load generator CPU ms each"];
const shown = [
  "issuances/s",
  "server CPU ms each",
  "Postgres CPU ms each",
  "load generator CPU ms each",
  "SQL statements each",
  "write transactions each",
  "failures",
];

/** @returns text for people: a line for each phase, then the ratio of the two rates */
export async function compare(
  server: ServerUnderTest,
  plan: Plan,
  flows: readonly [
    { readonly name: string; readonly make: MakeFlow },
    { readonly name: string; readonly make: MakeFlow },
  ],
): Promise<string> {
  const rates = new Map<string, number[]>(flows.map(({ name }) => [name, []]));
  // What other work on the machine takes changes from phase to phase; what an issuance takes changes less.
  const cpu = new Map<string, number[]>(flows.map(({ name }) => [name, []]));
  const lines = [["phase", ...shown].map((title) => title.padStart(12)).join("  ")];
  for (let round = 0; round <= rounds; round++) {
    for (const { name, make } of flows) {
      const { rate, figures } = await measurePhase(server, plan, make);
      if (round === 0) continue;
      rates.get(name)?.push(rate);
      cpu.get(name)?.push(cpuTitles.reduce((sum, title) => sum + Number(figures[title]), 0));
      const cells = shown.map((title) => Number(figures[title]).toFixed(2).padStart(Math.max(12, title.length)));
      lines.push([name.padStart(12), ...cells].join("  "));
    }
  }
  const [first, second] = flows.map(({ name }) => mean(rates.get(name) ?? [])) as [number, number];
  const [cpuFirst, cpuSecond] = flows.map(({ name }) => mean(cpu.get(name) ?? [])) as [number, number];
  const ratio = `${flows[1].name} ÷ ${flows[0].name}: ${(second / first).toFixed(2)} by rate, ${(cpuFirst / cpuSecond).toFixed(2)} by CPU time of all three`;
  return `${[...lines, "", ratio].join("\n")}\n`;
}

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
