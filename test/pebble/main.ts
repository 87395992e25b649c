/** Starts this server as clients' own tests start Pebble. It is made anew at every start, and leaves nothing behind. */
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type CommandLine, type Knobs, readCommandLine, readKnobs } from "./commandLine.ts";
import { readPebbleConfiguration } from "./configurationFile.ts";
import { type Door, openDoor } from "./door.ts";

const read = readCommandLine(process.argv.slice(2));
if ("print" in read) {
  process[read.status === 0 ? "stdout" : "stderr"].write(read.print);
  process.exitCode = read.status;
} else {
  await serve(read.serve, readKnobs(process.env));
}

/** Clients' tests end Pebble by SIGKILL: who cleans up then is a process that sees its standard input end. */
function cleanUpAfterwards(): void {
  const waiting = 'cat; exec "$0" "$1"';
  const child = spawn("sh", ["-c", waiting, process.execPath, join(import.meta.dirname, "sweep.ts")], {
    detached: true,
    stdio: ["pipe", "ignore", "ignore"],
  });
  child.unref();
}

async function serve({ configFile, dnsServer }: CommandLine, knobs: Knobs): Promise<void> {
  cleanUpAfterwards();
  const steps: (() => void | Promise<void>)[] = [];
  const stop = async (status: number): Promise<void> => {
    for (const step of steps.splice(0).toReversed()) await step();
    process.exit(status);
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, () => void stop(0));
  try {
    const configuration = readPebbleConfiguration(configFile);
    const tls = {
      cert: readFileSync(configuration.certificate, "utf8"),
      key: readFileSync(configuration.privateKey, "utf8"),
    };
    const doorAt = async (address: string): Promise<Door> => {
      const door = await openDoor(address);
      steps.push(() => door.close());
      return door;
    };
    const { listenAddress, managementListenAddress } = configuration;
    const doors = {
      acme: await doorAt(listenAddress),
      management: managementListenAddress === "" ? undefined : await doorAt(managementListenAddress),
    };
    const { startPebble } = await import("./start.ts"); // All of the server: it takes its time.
    const owner = { teardown: (step: () => void | Promise<void>) => steps.push(step) };
    const { directoryUrl } = await startPebble(owner, { configuration, knobs, dnsServer, doors, tls });
    process.stdout.write(`Listening on: ${listenAddress}\nACME directory available at: ${directoryUrl}\n`);
  } catch (error) {
    process.stderr.write(`pebble: ${error instanceof Error ? error.message : String(error)}\n`);
    await stop(1);
  }
}
