/** RFC 8555 §8.3 and RFC 8737 §3: which ports validation goes to when nobody configured any. */
import { subscribe } from "node:diagnostics_channel";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import type { Socket } from "node:net";
import os from "node:os";
import path from "node:path";
import t from "tap";
import { http01 } from "../../../src/acme/challenges/http01.ts";
import { tlsAlpn01 } from "../../../src/acme/challenges/tlsAlpn01.ts";
import { loadConfiguration } from "../../../src/config/load.ts";
import { addressesAre, testOutbound, plainly } from "../../support/validationTargets.ts";

t.test("R8.3-2 R8737-1 http-01 goes to port 80 and tls-alpn-01 to port 443, unless configured otherwise", async (t) => {
  const dataDir = await mkdtemp(path.join(os.tmpdir(), "mayfly-ports-"));
  t.teardown(() => rm(dataDir, { recursive: true }));
  const file = path.join(dataDir, "mayfly.yaml"); // Without a file it would be the development mode, with ports of its own.
  await writeFile(file, JSON.stringify({ dataDir }));
  const { validation } = loadConfiguration(file, {});
  t.match(validation, { http01Port: 80, tlsAlpn01Port: 443 });

  const attempts: string[] = [];
  subscribe("net.client.socket", (message) => {
    const { socket } = message as { socket: Socket };
    socket.on("connectionAttempt", (address: string, port: number) => attempts.push(`${address} ${port}`));
  });
  const { address } = await addressesAre(t, "127.0.0.1");
  const { http01Port, tlsAlpn01Port } = validation;
  const outbound = testOutbound({ dnsResolver: address, http01Port, tlsAlpn01Port });
  const token = "A".repeat(32);
  const asked = {
    identifier: { type: "dns", value: "target.example" },
    token,
    keyAuthorization: `${token}.x`,
    ...plainly,
  } as const;
  for (const [validator, port] of [
    [http01, 80],
    [tlsAlpn01, 443],
  ] as const) {
    attempts.length = 0;
    t.match(await validator(asked, outbound, new AbortController().signal), { ok: false }, "nothing of ours is there");
    t.same([...new Set(attempts)], [`127.0.0.1 ${port}`]);
  }
});
