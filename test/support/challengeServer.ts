/** Debian's pebble-challtestsrv on loopback: the DNS that a validating server asks, and targets of http-01 and tls-alpn-01 that are filled over HTTP. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as pause } from "node:timers/promises";
import { freePort, type TestOwner } from "./certificateAuthority.ts";
import { capture, cleanEnvironment } from "./program.ts";

export interface ChallengeServer {
  /** For `validation.dnsResolver`: every name is at 127.0.0.1. */
  readonly dnsResolver: string;
  /** Where records and responses are set, by JSON over HTTP. */
  readonly url: string;
  /** POSTs one command, such as `set-txt` with `{host, value}`. */
  set(command: string, content: Readonly<Record<string, unknown>>): Promise<void>;
}

export interface ChallengePorts {
  /** Where it answers http-01 itself; nowhere when absent, so that a client may listen there. */
  readonly http01Port?: number;
  readonly tlsAlpn01Port?: number;
}

const startMsMax = 20_000;

/** Starts one and resolves once it answers; it is killed at the test's end. */
export async function challengeServer(
  t: TestOwner,
  { http01Port, tlsAlpn01Port }: ChallengePorts = {},
): Promise<ChallengeServer> {
  const [dns, management] = [await freePort(), await freePort()];
  const at = (port: number | undefined): string => (port === undefined ? "" : `127.0.0.1:${port}`);
  const options = {
    dns01: at(dns),
    http01: at(http01Port),
    https01: "",
    tlsalpn01: at(tlsAlpn01Port),
    management: at(management),
    defaultIPv4: "127.0.0.1",
    defaultIPv6: "",
  };
  const child = spawn(
    "pebble-challtestsrv",
    Object.entries(options).map(([name, value]) => `-${name}=${value}`),
    { env: cleanEnvironment(), stdio: ["ignore", "pipe", "pipe"] },
  );
  const printed = capture(child);
  const closed = once(child, "close");
  t.teardown(async () => {
    child.kill("SIGKILL");
    await closed;
  });
  const url = `http://127.0.0.1:${management}`;
  const set = async (command: string, content: Readonly<Record<string, unknown>>): Promise<void> => {
    const response = await fetch(`${url}/${command}`, { method: "POST", body: JSON.stringify(content) });
    await response.arrayBuffer();
    if (!response.ok) throw new Error(`pebble-challtestsrv answered ${response.status} to ${command}`);
  };
  await untilItAnswers(
    () => set("set-default-ipv4", { ip: "127.0.0.1" }),
    () => {
      if (child.exitCode !== null) throw new Error(`pebble-challtestsrv ended:\n${printed.stdout}${printed.stderr}`);
    },
  );
  return { dnsResolver: at(dns), url, set };
}

/** @throws {Error} the last failure, when none of the attempts succeeded in time */
async function untilItAnswers(attempt: () => Promise<void>, stillRuns: () => void): Promise<void> {
  const last = performance.now() + startMsMax;
  for (;;) {
    try {
      await attempt();
      return;
    } catch (error) {
      stillRuns();
      if (performance.now() > last) throw error;
      await pause(50);
    }
  }
}
