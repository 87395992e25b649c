/** `npm run bench`: full issuances against a real server, measured from outside. See bench/README.md. */
import { readFileSync } from "node:fs";
import path from "node:path";
import { parseArgs } from "node:util";

import { httpsTransport, type HttpsTransport } from "../src/client/http.ts";
import type { ObservedExchange } from "../src/client/session.ts";
import { algorithmCosts } from "./algorithms.ts";
import type { KeyKind } from "../src/keys/signer.ts";
import { compare } from "./compare.ts";
import {
  attestedFlow,
  http01Flow,
  http01Responder,
  tokenMint,
  type Flow,
  type FlowOptions,
  type Http01Responder,
} from "./flows.ts";
import { formatCosts } from "./formats.ts";
import { inlineFlow } from "./inlineFlow.ts";
import { leanTransport } from "./leanTransport.ts";
import { drive, table, type Measured } from "./load.ts";
import { measureMemory } from "./memory.ts";
import { measureOwn } from "./ownServer.ts";
import { preparationCosts } from "./prepare.ts";
import { signingTable } from "./signing.ts";
import { startServer, type ServerUnderTest } from "./serverUnderTest.ts";

const help = `Usage: npm run bench -- [OPTION …]

Drives full issuances with fresh account and certificate keys and prints rate, latency, and what one issuance costs.

  --seconds N       length of the measured part (default 20)
  --warm-up N       seconds before it, not counted (default 5)
  --clients N       issuances under way at the same time (default 16)
  --flow FLOW       attested (default), inline, inline-fresh, http-01; compare: attested and inline in turn, four times each
  --keys KIND       softhsm (default) or development: where our server's signing key is
  --expired N       put N expired orders, authorizations and pieces of evidence into the database first (default 0)
  --directory URL   another ACME server instead of our own; http-01 flow
  --root FILE       PEM to trust for that server's TLS
  --domain NAME     names are bench-….NAME for http-01 (default localhost)
  --http01-port N   where our responder listens for --directory (default 5002)
  --attestations N  memory over N inline attestations, in place of a measured part
  --algorithms      what a signature costs and weighs, by kind of CA key, without a server
  --ocsp            OCSP responses per second of one server, over --certificates N (default 10000), 64 connections
  --formats         what verifying one piece of evidence costs, format by format, without a server
  --crl N           a revocation list of N entries, from rows to publication, without a server; --key-kind KIND of the issuer
  --prepare         what preparing and linting a certificate costs, and reading a request, without a server
  --signing         what signing through our Signer costs beside SoftHSM's bare calls, without a server
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
    attestations: { type: "string" },
    algorithms: { type: "boolean", default: false },
    crl: { type: "string" },
    "key-kind": { type: "string", default: "ec-p256" },
    ocsp: { type: "boolean", default: false },
    certificates: { type: "string", default: "10000" },
    formats: { type: "boolean", default: false },
    prepare: { type: "boolean", default: false },
    signing: { type: "boolean", default: false },
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
else if (values.algorithms) process.stdout.write(await algorithmCosts());
else if (values.ocsp) process.stdout.write(await benchOcsp());
else if (values.prepare) process.stdout.write(await preparationCosts());
else if (values.signing) process.stdout.write(await signingTable());
else if (values.formats) process.stdout.write(await formatCosts());
else if (values.crl !== undefined) await benchLists(Number(values.crl));
else if (values.directory === undefined) await benchOwn();
else await benchOther(values.directory);

async function benchLists(count: number): Promise<void> {
  // Loaded for this alone: the memory that is measured is that of this process.
  const { measureLists } = await import("./certificateLists.ts");
  process.stdout.write(await measureLists(count, keysWanted(), values["key-kind"] as KeyKind));
}

function keysWanted(): "softhsm" | "development" {
  if (values.keys !== "softhsm" && values.keys !== "development") throw new Error("--keys is softhsm or development");
  return values.keys;
}

async function benchOcsp(): Promise<string> {
  const { ocspFigures } = await import("./ocsp.ts");
  return await ocspFigures({ ...plan, connections: 64, certificates: Number(values.certificates), keys: keysWanted() });
}

async function benchOwn(): Promise<void> {
  const keys = keysWanted();
  process.stderr.write(`Starting a server (embedded PostgreSQL, ${keys} key) …\n`);
  const server = await startServer(keys);
  const responder = values.flow === "http-01" ? await http01Responder(server.http01Port) : undefined;
  const transport = leanTransport(server.url, server.root);
  try {
    const flows = flowsOf(server, transport, responder);
    if (values.attestations !== undefined) {
      const flow = flows.memory(() => undefined);
      process.stdout.write(await measureMemory(server, flow, Number(values.attestations), plan.clients));
    } else if (values.flow === "compare") {
      const [attested, inline] = ["attested", "inline"].map((name) => ({ name, make: flows[name as "inline"] }));
      if (attested !== undefined && inline !== undefined)
        process.stdout.write(await compare(server, plan, [attested, inline]));
    } else {
      const flow = Object.entries(flows).find(([name]) => name === values.flow)?.[1];
      if (flow === undefined) throw new Error(`--flow is one of ${Object.keys(flows).join(", ")}, compare`);
      const measured = await measureOwn(server, plan, flow, Number(values.expired));
      report(measured.figures, measured.steps);
    }
  } finally {
    transport.close();
    responder?.close();
    await server.stop();
  }
}

type MakeFlow = (observe: (exchange: ObservedExchange) => void) => Flow;

function flowsOf(server: ServerUnderTest, transport: HttpsTransport, responder: Http01Responder | undefined) {
  const mint = tokenMint(path.join(server.dataDir, "dev-issuer.jwk"), `${server.url}/dev`);
  const trustDomain = "mayfly.localhost";
  const inline = { trustDomain, mint, audience: `${server.url}/wa` };
  const made =
    (make: (options: FlowOptions) => Flow): MakeFlow =>
    (observe) =>
      make({ directoryUrl: `${server.url}/acme/directory`, transport, observe });
  return {
    attested: made((options) => attestedFlow(options, trustDomain, mint)),
    inline: made((options) => inlineFlow(options, { ...inline, fresh: false })),
    "inline-fresh": made((options) => inlineFlow(options, { ...inline, fresh: true })),
    memory: made((options) => inlineFlow(options, { ...inline, fresh: false, identities: 1000 })),
    ...(responder !== undefined && { "http-01": made((options) => http01Flow(options, values.domain, responder)) }),
  };
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
