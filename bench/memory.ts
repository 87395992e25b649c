/** Whether memory stays flat: so many attestations one after the other, and the server's memory after every few thousand. */
import type { Flow } from "./flows.ts";
import { metricsOf } from "./ownServer.ts";
import { residentBytes } from "./processCpu.ts";
import type { ServerUnderTest } from "./serverUnderTest.ts";

interface Sample {
  readonly attestations: number;
  readonly rss: number;
  readonly heap: number;
}

const samples = 20;

/** @returns text for people: the samples, and how much one attestation adds over the second half of them */
export async function measureMemory(
  server: ServerUnderTest,
  flow: Flow,
  count: number,
  clients: number,
): Promise<string> {
  const taken: Sample[] = [await sample(server, 0)];
  const every = Math.ceil(count / samples);
  let next = 0;
  for (let part = 1; part <= samples; part++) {
    const end = Math.min(count, part * every);
    await Promise.all(
      Array.from({ length: clients }, async () => {
        while (next < end) await flow(next++);
      }),
    );
    taken.push(await sample(server, next));
    process.stderr.write(`${next} attestations …\n`);
  }
  const later = taken.slice(Math.floor(taken.length / 2));
  const mb = (bytes: number): string => (bytes / 1e6).toFixed(1).padStart(10);
  const lines = taken.map(({ attestations, rss, heap }) => `${String(attestations).padStart(12)}${mb(rss)}${mb(heap)}`);
  const slopes = [slope(later, "rss"), slope(later, "heap")].map((bytes) => `${bytes.toFixed(1)} bytes`);
  return [
    `${"attestations".padStart(12)}${"RSS MB".padStart(10)}${"heap MB".padStart(10)}`,
    ...lines,
    "",
    `per attestation, over the second half: RSS ${slopes[0]}, heap ${slopes[1]}`,
    "",
  ].join("\n");
}

async function sample(server: ServerUnderTest, attestations: number): Promise<Sample> {
  const heap = /^nodejs_heap_size_used_bytes (\d+)/m.exec(await metricsOf(server))?.[1];
  return { attestations, rss: residentBytes(server.pid), heap: Number(heap) };
}

/** Least squares. */
function slope(points: readonly Sample[], of: "rss" | "heap"): number {
  const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [x, y] = [mean(points.map(({ attestations }) => attestations)), mean(points.map((point) => point[of]))];
  const above = points.reduce((sum, point) => sum + (point.attestations - x) * (point[of] - y), 0);
  return above / points.reduce((sum, { attestations }) => sum + (attestations - x) ** 2, 0);
}
