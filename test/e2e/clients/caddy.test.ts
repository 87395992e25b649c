/** Debian's Caddy: http-01 and tls-alpn-01, an address; it renews by itself. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { background, clientGround, eventually } from "../../support/clientGround.ts";
import { clientRecord } from "../../support/clientRecord.ts";
import { succeed } from "../../support/program.ts";

t.setTimeout(240_000); // tap's own 30 seconds are too few for real processes on a busy machine.

t.test("Caddy", async (t) => {
  const ground = await clientGround(t);
  const { folder, http01Port, tlsAlpn01Port } = ground;
  const version = (await succeed("caddy", ["version"])).trim().split(" ")[0] ?? "";
  const record = clientRecord({
    client: "Caddy",
    version: version.replace(/^v/, ""),
    cannot: {
      "dns-01": "Debian's has no module for a DNS provider",
      wildcard: "needs dns-01",
      revoke: "has no command for it",
    },
    remark: "renews by itself",
  });
  const policy = (subjects: string[], challenge: "http" | "tls-alpn") => ({
    subjects,
    key_type: "p256",
    renewal_window_ratio: 0.999, // So that a certificate is due at once.
    issuers: [
      {
        module: "acme",
        ca: ground.directoryUrl,
        email: "you@example.com",
        trusted_roots_pem_files: [ground.rootFile],
        challenges: {
          bind_host: "127.0.0.1",
          http: challenge === "http" ? { alternate_port: http01Port } : { disabled: true },
          "tls-alpn": challenge === "http" ? { disabled: true } : { alternate_port: tlsAlpn01Port },
        },
      },
    ],
  });
  const configuration = {
    admin: { disabled: true },
    storage: { module: "file_system", root: join(folder, "storage") },
    apps: {
      tls: {
        certificates: { automate: ["http.example", "127.0.0.1", "alpn.example"] },
        automation: {
          renew_interval: "1s",
          policies: [policy(["http.example", "127.0.0.1"], "http"), policy(["alpn.example"], "tls-alpn")],
        },
      },
    },
  };
  const file = join(folder, "caddy.json");
  await writeFile(file, JSON.stringify(configuration));
  const { printed } = background(t, "caddy", ["run", "--config", file], { HOME: folder, XDG_CONFIG_HOME: folder });

  const issuer = new URL(ground.directoryUrl);
  const place = `${issuer.hostname}-${issuer.port}-acme-directory`;
  const cases = [
    { what: "http-01", name: "http.example" },
    { what: "IP address", name: "127.0.0.1" },
    { what: "tls-alpn-01", name: "alpn.example" },
  ] as const;
  for (const { what, name } of cases) {
    const serials = await eventually(
      async () => {
        const found = await ground.serialsOf(name);
        return found.length >= 2 ? found : undefined;
      },
      () => printed.stderr,
    );
    const chain = join(folder, "storage/certificates", place, name, `${name}.crt`);
    const held = await ground.obtained(t, chain, [name]);
    t.ok((await ground.serialsOf(name)).includes(held), `${name}: renewed, ${serials.length} certificates`);
    record.did(what, "renew");
  }
  await record.end(t);
});
