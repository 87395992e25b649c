/**
 * What a server keeps of memory only so that garbage costs less: bounded here, whatever way it is started and however large the machine is.
 *
 * V8 lets the space for new objects grow to two halves of 64 MiB on a machine with much memory, and never gives a page back that was once
 * written to. Requests live for milliseconds: a fourth of it serves them as well. And Node cuts small buffers from slabs of 64 KiB; one of
 * them that outlives two collections, as what waits for the database does, keeps all 64 KiB until the next large collection. Both are the
 * sizes that Node had before it made them larger.
 */
import { PerformanceObserver } from "node:perf_hooks";
import v8 from "node:v8";

/** Each of the two halves of the space for new objects, octets. */
const halfOctets = 16 * 1_048_576;
/** What small buffers are cut from, octets. */
const slabOctets = 8_192;

/** Called once, before a server loads what it consists of. */
export function boundStandingMemory(): void {
  Buffer.poolSize = slabOctets;
  // Most of what is loaded at the start stays: it would let the space grow, synchronously and several times, before anybody could look.
  growNewSpace(false);
}

/** Called once everything is loaded: lets the space for new objects grow as it is needed, up to its bound. */
export function growToBound(): void {
  const observer = new PerformanceObserver(stopAtBound);
  function stopAtBound(): void {
    if (newSpaceOctets() < 2 * halfOctets) return;
    growNewSpace(false);
    observer.disconnect();
  }
  observer.observe({ entryTypes: ["gc"] });
  growNewSpace(true);
  stopAtBound();
}

/** V8 reads this flag each time it thinks of growing; the ones that set a bound it reads at its own start alone, and a program cannot give them. */
const growNewSpace = (may: boolean): void => v8.setFlagsFromString(`--semi-space-growth-factor=${may ? 2 : 1}`);

const newSpaceOctets = (): number =>
  v8.getHeapSpaceStatistics().find(({ space_name: name }) => name === "new_space")?.space_size ?? 0;
