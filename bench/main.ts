/** `npm run bench`: full issuances against a real server, measured from outside. See bench/README.md. */
import { readFileSync } from "node:fs";
import path from "node:path";
import { parseArgs } from "node:util";

import { httpsTransport } from "../src/client/http.ts";
import { attestedFlow, http01Flow, http01Responder, tokenMint, type Flow, type Http01Responder } from "./flows.ts";
import { leanTransport } from "./leanTransport.ts";
import { drive, table, type Measured } from "./load.ts";
import { measureOwn } from "./ownServer.ts";
import { startServer } from "./serverUnderTest.ts";

const help = `Usage: npm run bench -- [OPTION …]

Drives full issuances with fresh account and certificate keys and prints rate, latency, and what one issuance costs.

  --seconds N       length of the measured part (default 20)
  --warm-up N       seconds before it, not counted (default 5)
  --clients N       issuances under way at the same time (default 16)
  --flow FLOW       attested (default) or http-01
  --keys KIND       softhsm (default) or development: where our server's signing key is
  --expired N       put N expired orders, authorizations and pieces of evidence into the database first (default 0)
  --directory URL   another ACME server instead of our own; http-01 flow
  --root FILE       PEM to trust for that server's TLS
  --domain NAME     names are bench-….NAME for http-01 (default localhost)
  --http01-port N   where our responder listens for --directory (default 5002)
  --json            one JSON object instead of tables
`;

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "20" },
    "warm-up": { type: "string", default: "5" },
    clients: { type: "string", default: "16" },
    flow: { type: "string", default: "attested" },
    keys: { type: "string", default: "softhsm" },
    expired: { type: "string", default: "0" },
    directory: { type: "string" },
    root: { type: "string" },
    domain: { type: "string", default: "localhost" },
    "http01-port": { type: "string", default: "5002" },
    json: { type: "boolean", default: false },
    help: { type: "boolean", short: "h", default: false },
  },
});
const plan = {
  seconds: Number(values.seconds),
  warmUpSeconds: Number(values["warm-up"]),
  clients: Number(values.clients),
};

if (values.help) process.stdout.write(help);
else if (values.directory === undefined) await benchOwn();
else await benchOther(values.directory);

async function benchOwn(): Promise<void> {
  if (values.keys !== "softhsm" && values.keys !== "development") throw new Error("--keys is softhsm or development");
  process.stderr.write(`Starting a server (embedded PostgreSQL, ${values.keys} key) …\n`);
  const server = await startServer(values.keys);
  const responder = values.flow === "http-01" ? await http01Responder(server.http01Port) : undefined;
  try {
    const transport = leanTransport(server.url, server.root);
    const measured = await measureOwn(
      server,
      plan,
      (observe) => {
        const options = { directoryUrl: `${server.url}/acme/directory`, transport, observe };
        if (responder !== undefined) return http01Flow(options, values.domain, responder);
        return attestedFlow(
          options,
          "mayfly.localhost",
          tokenMint(path.join(server.dataDir, "dev-issuer.jwk"), `${server.url}/dev`),
        );
      },
      Number(values.expired),
    );
    transport.close();
    report(measured.figures, measured.steps);
  } finally {
    responder?.close();
    await server.stop();
  }
}

async function benchOther(directoryUrl: string): Promise<void> {
  if (values.root === undefined) throw new Error("--directory needs --root FILE, the PEM to trust for its TLS");
  const responder: Http01Responder = await http01Responder(Number(values["http01-port"]));
  const transport = httpsTransport({
    trustAnchors: readFileSync(values.root),
    userAgent: "mayfly-bench",
    answerBytesMax: 262_144,
  });
  const measured: Measured = await drive(plan, (observe): Flow =>
    http01Flow({ directoryUrl, transport, observe }, values.domain, responder),
  );
  transport.close();
  responder.close();
  report({ "issuances/s": measured.rate, failures: measured.failures }, measured.steps);
}

function report(figures: Record<string, number | string>, steps: Measured["steps"]): void {
  if (values.json) process.stdout.write(`${JSON.stringify({ plan, figures, steps })}\n`);
  else process.stdout.write(table(figures, steps));
}
