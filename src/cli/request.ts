/**
 * `mayfly request`: the agent's command. Evidence in, a directory with key, chain and bundle out.
 */
import { X509Certificate } from "node:crypto";
import { constants } from "node:fs";
import { access, mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { writeCertificateFiles } from "../client/certificateFiles.ts";
import { AcmeProblem, ClientError } from "../client/errors.ts";
import type { CertificateRequest, IssuedCertificate, MayflyClient } from "../client/mayflyClient.ts";
import { isUsableFor, possessionEvidence } from "../client/possession.ts";
import { renewalTime } from "../client/renewal.ts";
import { fileErrorCode } from "../keys/secretFile.ts";
import { parseSpiffeId, SpiffeIdError } from "../x509/spiffeId.ts";
import { type CommandContext, defineCommand, UsageError, wholeNumber } from "./command.ts";
import { evidenceFrom, namedSources, readEvidenceOptions } from "./evidenceOption.ts";
import { openAccountKey, readDelegationFile, readRoot } from "./requestFiles.ts";
import { readPossession } from "./possessionFiles.ts";

const options = {
  "spiffe-id": {
    type: "string",
    value: "ID",
    required: true,
    description: "the identity to be certified, spiffe://TRUST-DOMAIN/PATH",
  },
  evidence: {
    type: "string",
    value: "SOURCE",
    multiple: true,
    description:
      "what proves it: FORMAT:FILE, such as jwt:FILE or k8s:FILE, for what is in a file (- reads standard input), x509-pop:CERT,KEY for a certificate of another CA and its key, or exec:COMMAND for what a command prints; several where the server asks for several, each of another source",
  },
  "renew-from": {
    type: "string",
    value: "DIR",
    description:
      "renew by the certificate that DIR holds, cert.pem and key.pem, where the server lets it; --evidence is for when it does not",
  },
  out: { type: "string", value: "DIR", required: true, description: "where key.pem, cert.pem and bundle.pem go" },
  directory: {
    type: "string",
    value: "URL",
    env: "MAYFLY_DIRECTORY",
    default: "https://localhost:8443/acme/directory",
    description: "the ACME directory of the server",
  },
  root: {
    type: "string",
    value: "FILE",
    defaultText: "root.pem in MAYFLY_DATA_DIR, or in ./data",
    description: "PEM of the root: the server's own certificate and the one obtained must lead to it",
  },
  ref: {
    type: "string",
    value: "NAME",
    description:
      "the evidence source as the server names it, where more than one would fit; FORMAT@REF:FILE and exec@REF:COMMAND say it too",
  },
  format: {
    type: "string",
    value: "FORMAT",
    description: "format of what exec: prints, such as jwt, where more than one would fit",
  },
  profile: {
    type: "string",
    value: "NAME",
    description: "the certificate profile",
    defaultText: "the server's choice",
  },
  "account-key": {
    type: "string",
    value: "FILE",
    defaultText: "a fresh account each time",
    description: "PEM of the account key, kept for renewals; created when absent",
  },
  delegation: {
    type: "string",
    value: "FILE",
    description: "file with a token that says on whose behalf the workload acts; it goes with the order",
  },
  lifetime: {
    type: "string",
    value: "SECONDS",
    defaultText: "the profile's",
    description: "how long the certificate is to be valid",
  },
  timeout: { type: "string", value: "SECONDS", default: "30", description: "the most that all of it may take" },
  "if-due": {
    type: "boolean",
    description:
      "do nothing as long as the certificate in DIR need not be renewed, as the server says (RFC 9773); for a timer",
  },
  "no-inline": {
    type: "boolean",
    description: "answer a challenge, also where evidence could go with the order because format and source are known",
  },
  json: { type: "boolean", description: "print the result as JSON" },
} as const;

export const command = defineCommand({
  name: "request",
  summary: "obtain a certificate for a workload by showing evidence of what it is",
  usage: "--spiffe-id ID (--evidence SOURCE | --renew-from DIR) --out DIR [OPTION …]",
  description: [
    "Makes a key, proves to the server what this workload is, obtains a certificate for the key, verifies its chain against the root,",
    "and writes key.pem (mode 0600), cert.pem (with intermediates) and bundle.pem (the root), all three replaced in one step.\n\n" +
      "exec:COMMAND runs in /bin/sh and prints the evidence on standard output. It finds in its environment MAYFLY_AUDIENCE (the",
    "audience for a token that is bound to this request), MAYFLY_FIXED_AUDIENCE (the audience where the platform cannot bind it),",
    "MAYFLY_BINDING (the binding value alone), MAYFLY_TOKEN (the challenge's token), MAYFLY_FINGERPRINT (the account key, as a token",
    "of format atc names it) and MAYFLY_SPIFFE_ID (the identity asked for). It, or a file, may also hold a JSON object,",
    '{"value": "…", "endorsements": {"NAME": "…"}}, where certificates or collateral go with the evidence.\n\n' +
      "Where the server takes evidence with the order, and format and source are known (--ref, and --format with exec:), one request is",
    "all it takes, and the token is the request's nonce; exec: may be run again where that request has to be repeated.",
  ].join(" "),
  options,
  examples: [
    {
      does: "a token from the development source of a local server",
      command:
        "mayfly request --spiffe-id spiffe://mayfly.localhost/dev/agent --evidence 'exec:mayfly dev-token --subject agent' --out ./agent",
    },
    {
      does: "a projected service-account token, in Kubernetes",
      command:
        "mayfly request --spiffe-id spiffe://example.org/ns/shop/sa/cart --evidence k8s:/var/run/secrets/tokens/mayfly --out /run/mayfly",
    },
    {
      does: "renewal by the certificate that is there, while the server lets it",
      command:
        "mayfly request --spiffe-id spiffe://example.org/ns/shop/sa/cart --renew-from /run/mayfly --evidence k8s:/var/run/secrets/tokens/mayfly --out /run/mayfly",
    },
  ],
  run: request,
});

async function request({ values, env, stdin, stdout }: CommandContext<typeof options>): Promise<void> {
  const evidence = readEvidenceOptions(values.evidence, values.ref, values.format);
  const accept = namedSources(evidence);
  const renewFrom = values["renew-from"];
  if (evidence.length === 0 && renewFrom === undefined)
    throw new UsageError("request needs --evidence SOURCE, or --renew-from DIR, or both");
  const timeoutSeconds = wholeNumber("timeout", values.timeout, { least: 1, most: 86_400, unit: "seconds" });
  const notAfter = values.lifetime === undefined ? undefined : lifetimeEnd(values.lifetime);
  const spiffeId = values["spiffe-id"];
  requireSpiffeId(spiffeId);
  const root = await readRoot(values.root ?? join(env["MAYFLY_DATA_DIR"] || "data", "root.pem"));
  const accountKey = values["account-key"] === undefined ? undefined : await openAccountKey(values["account-key"]);
  const delegation = values.delegation && (await readDelegationFile(values.delegation));
  // Evidence can be shown once: that the result has a place is found out before it is.
  await requireWritable(values.out);

  const { MayflyClient } = await import("../client/mayflyClient.ts");
  const client = new MayflyClient({
    directoryUrl: values.directory,
    root,
    timeoutMs: timeoutSeconds * 1000,
    ...(accountKey === undefined ? {} : { accountKey }),
  });
  try {
    const replaces = await readPredecessor(values.out, spiffeId);
    const due = values["if-due"] && replaces !== undefined ? await dueTime(client, replaces) : undefined;
    if (due !== undefined && due > new Date()) {
      const result = { spiffeId, due: due.toISOString() };
      stdout.write(values.json ? `${JSON.stringify(result)}\n` : `${spiffeId}\n  due        ${result.due}\n`);
      return;
    }
    const ways: Way[] = renewFrom === undefined ? [] : await previousIn(renewFrom, spiffeId);
    const inline = !values["no-inline"];
    if (evidence.length > 0)
      ways.push({ evidence: evidenceFrom(evidence, { env, stdin }), inline, ...(accept && { accept }) });
    if (ways.length === 0) {
      throw new Error(
        `${renewFrom} has no certificate for this identity to renew, in force and with its key, and there is no other evidence: --evidence shows some`,
      );
    }
    const issued = await obtain(client, ways, {
      spiffeId,
      ...(values.profile === undefined ? {} : { profile: values.profile }),
      ...(delegation && { delegation }),
      ...(notAfter === undefined ? {} : { notAfter }),
      // Another account cannot replace it, and a fresh one is another.
      ...(accountKey === undefined || replaces === undefined ? {} : { replaces }),
    });
    const { privateKeyPem, certificatePem, bundlePem, serial } = issued;
    const files = await writeCertificateFiles(values.out, {
      key: privateKeyPem,
      cert: certificatePem,
      bundle: bundlePem,
    });
    const result = { spiffeId, serial, notAfter: issued.notAfter.toISOString(), files };
    stdout.write(values.json ? `${JSON.stringify(result)}\n` : summaryOf(result));
  } finally {
    client.close();
  }
}

/** The certificate that DIR holds for this identity; anything else there is none. */
async function readPredecessor(directory: string, spiffeId: string): Promise<X509Certificate | undefined> {
  try {
    const leaf = new X509Certificate(await readFile(join(directory, "cert.pem")));
    return leaf.subjectAltName?.split(", ").includes(`URI:${spiffeId}`) ? leaf : undefined;
  } catch {
    return undefined;
  }
}

/** One thing to show. */
type Way = Pick<CertificateRequest, "evidence" | "inline" | "accept">;

/** The certificate in this folder and its key; nothing where it holds no certificate that counts now for this identity. */
async function previousIn(directory: string, spiffeId: string): Promise<Way[]> {
  const leaf = await readPredecessor(directory, spiffeId);
  if (leaf === undefined || !isUsableFor(leaf, spiffeId, new Date())) return [];
  const proof = await readPossession(join(directory, "cert.pem"), join(directory, "key.pem"));
  return [{ evidence: possessionEvidence(proof), inline: false }];
}

/** The first way that the server takes. What it refuses otherwise than for the evidence, it would refuse by the next way too. */
async function obtain(
  client: MayflyClient,
  [first, ...others]: readonly Way[],
  wanted: Omit<CertificateRequest, keyof Way>,
): Promise<IssuedCertificate> {
  if (first === undefined) throw new Error("there is no certificate for this identity to renew, and no other evidence");
  try {
    return await client.request({ ...wanted, ...first });
  } catch (error) {
    const refused =
      error instanceof AcmeProblem
        ? error.is("badAttestationStatement")
        : isClientError(error) && error.code === "evidence";
    if (others.length === 0 || !refused) throw error;
    return await obtain(client, others, wanted);
  }
}

const isClientError = (error: unknown): error is ClientError => error instanceof ClientError;

/** When it is time to renew. A server that does not know the certificate, any more or at all, is asked for a new one. */
async function dueTime(client: MayflyClient, leaf: X509Certificate): Promise<Date> {
  try {
    const time = renewalTime(leaf, await client.renewalInfo(leaf));
    return time < leaf.validToDate ? time : leaf.validToDate;
  } catch (error) {
    if (error instanceof AcmeProblem && error.status === 404) return new Date(0);
    throw error;
  }
}

function lifetimeEnd(lifetime: string): Date {
  const seconds = wholeNumber("lifetime", lifetime, { least: 1, most: 31_536_000, unit: "seconds" });
  return new Date(Date.now() + seconds * 1000);
}

function requireSpiffeId(value: string): void {
  try {
    parseSpiffeId(value);
  } catch (error) {
    if (!(error instanceof SpiffeIdError)) throw error;
    throw new UsageError(`--spiffe-id is "${value}": ${error.message}`);
  }
}

async function requireWritable(directory: string): Promise<void> {
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    await access(directory, constants.W_OK | constants.X_OK);
  } catch (error) {
    throw new Error(`the directory ${directory} cannot be written to (${fileErrorCode(error)})`, { cause: error });
  }
}

function summaryOf({
  spiffeId,
  serial,
  notAfter,
  files,
}: {
  readonly spiffeId: string;
  readonly serial: string;
  readonly notAfter: string;
  readonly files: { readonly key: string; readonly cert: string; readonly bundle: string };
}): string {
  return [
    spiffeId,
    `  serial     ${serial}`,
    `  not after  ${notAfter}`,
    `  key        ${files.key}`,
    `  chain      ${files.cert}`,
    `  bundle     ${files.bundle}`,
    "",
  ].join("\n");
}
