/**
 * A server that kills itself (SIGKILL) at a chosen point of the first issuance of an ACME order. Run as a program; `MAYFLY_CRASH_AT` names the
 * point, `MAYFLY_CLOCK_AHEAD_SECONDS` sets its clock forward. Everything else is what `mayfly serve` does without a configuration.
 */
import { writeSync } from "node:fs";
import { compose } from "../../src/compose.ts";
import type { Intent, IssuanceLedger } from "../../src/authority/ports.ts";
import { loadConfiguration } from "../../src/config/load.ts";

/** Where, in the order of an issuance. `none` is a server that lives. */
export const crashPoints = ["before intend", "after intend", "after sign", "after record", "none"] as const;
export type CrashPoint = (typeof crashPoints)[number];

/** This file, to be started. */
export const crashServer = import.meta.filename;

/** Before its end the process tells what the client might have been given: `signed HEX`, the certificate's DER. */
export const signedLine = /^signed ([0-9a-f]+)$/m;

/** Serials of orders: the listener's own certificate must not be what we die of. */
const ofOrders = new Set<string>();

/** Whichever statement writes the intent. */
async function dyingIntent<T>(
  { serial }: Intent,
  act: () => Promise<T>,
  dieAt: (here: CrashPoint) => void,
): Promise<T> {
  ofOrders.add(serial.toString("hex"));
  dieAt("before intend");
  const outcome = await act();
  dieAt("after intend");
  return outcome;
}

function dying(ledger: IssuanceLedger, dieAt: (here: CrashPoint) => void): IssuanceLedger {
  return {
    ...ledger,
    async intend(intent) {
      if (intent.door !== "acme") return ledger.intend(intent);
      return dyingIntent(intent, () => ledger.intend(intent), dieAt);
    },
    async record(serial, certificate) {
      if (!ofOrders.has(serial.toString("hex"))) return ledger.record(serial, certificate);
      writeSync(1, `signed ${certificate.toString("hex")}\n`);
      dieAt("after sign");
      const recorded = await ledger.record(serial, certificate);
      dieAt("after record");
      return recorded;
    },
  };
}

if (import.meta.main) {
  const { MAYFLY_CRASH_AT: asked = "none", MAYFLY_CLOCK_AHEAD_SECONDS: ahead = "0" } = process.env;
  const point = crashPoints.find((one) => one === asked);
  if (point === undefined) throw new Error(`no such point: ${asked}`);
  const configuration = loadConfiguration(undefined, process.env);
  const dieAt = (here: CrashPoint): void => {
    if (here === point) process.kill(process.pid, "SIGKILL");
  };
  const authority = await compose(configuration, {
    ledger: (real) => dying(real, dieAt),
    acme: {
      attestedOrders: (real) => ({
        ...real,
        intend: (signer, order, intent) => dyingIntent(intent, () => real.intend(signer, order, intent), dieAt),
      }),
    },
    now: () => new Date(Date.now() + Number(ahead) * 1000),
  });
  process.once("SIGTERM", () => void authority.close());
  await authority.server.listen({ host: configuration.listenHost, port: configuration.listenPort });
  console.log("Ctrl-C stops it."); // The banner's last line: whoever started a server waits for it.
}
