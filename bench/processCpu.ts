/** CPU time and memory of other processes, from /proc (Linux). */
import { readdirSync, readFileSync } from "node:fs";

/** Clock ticks per second: USER_HZ, 100 on every Linux that runs Node. */
const ticksPerSecond = 100;

interface ProcessTimes {
  readonly parent: number;
  /** Own CPU time, seconds. */
  readonly own: number;
  /** CPU time of children that have ended and were waited for, seconds. */
  readonly ended: number;
}

function timesOf(pid: number): ProcessTimes | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = text
      .slice(text.lastIndexOf(")") + 2)
      .split(" ")
      .map(Number);
    const at = (index: number): number => fields[index] ?? 0;
    return { parent: at(1), own: (at(11) + at(12)) / ticksPerSecond, ended: (at(13) + at(14)) / ticksPerSecond };
  } catch {
    return undefined; // It ended between listing and reading.
  }
}

/** Seconds of one process without its children. */
export const ownCpuSeconds = (pid: number): number => timesOf(pid)?.own ?? 0;

/** Seconds of a process and everything below it, ended children included. */
export function treeCpuSeconds(root: number): number {
  const all = new Map<number, ProcessTimes>();
  for (const entry of readdirSync("/proc")) {
    const times = /^\d+$/.test(entry) ? timesOf(Number(entry)) : undefined;
    if (times !== undefined) all.set(Number(entry), times);
  }
  const below = (pid: number): number => {
    const times = all.get(pid);
    if (times === undefined) return 0;
    const children = [...all].filter(([, { parent }]) => parent === pid);
    return times.own + times.ended + children.reduce((sum, [child]) => sum + below(child), 0);
  };
  return below(root);
}

/** Resident memory, bytes. */
export function residentBytes(pid: number): number {
  const line = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"));
  return Number(line?.[1] ?? 0) * 1024;
}
