/** Pebble's management interface: keys and certificates of the CAs, the state of a certificate, renewal information set from outside. */
import { X509Certificate } from "node:crypto";
import { createServer, type Server } from "node:https";
import type { IncomingMessage, ServerResponse } from "node:http";
import { writeCertificateId } from "../../src/acme/certificateId.ts";
import { readCertificate } from "../../src/x509/certificate.ts";
import { readAuthorityKeyIdentifier } from "../../src/x509/extensions.ts";
import { oids } from "../../src/x509/oid.ts";
import type { PebbleChain } from "./hierarchies.ts";

export interface ManagementParts {
  /** PEM. */
  readonly tls: { readonly cert: string; readonly key: string };
  /** The default chain first. */
  readonly chains: readonly PebbleChain[];
  /** `GET /api/v1/certificates/<serial>`. */
  readonly inventory: (pathAndQuery: string) => Promise<{ status: number; body: Readonly<Record<string, unknown>> }>;
  /** By the certificate's id (RFC 9773 §4.1): what is answered for it, to the letter. */
  readonly renewalInfo: Map<string, string>;
}

interface Answer {
  readonly status: number;
  readonly type?: string;
  readonly body?: string;
}

const bodyBytesMax = 262_144;
const notFound: Answer = { status: 404 };

/** Serves it; the caller makes it listen. */
export function createManagement(parts: ManagementParts): Server {
  return createServer(parts.tls, (request, response) => {
    answer(request, parts)
      .catch((error: unknown): Answer => ({ status: 400, type: "text/plain", body: String(error) }))
      .then(({ status, type = "text/plain", body = "" }) => send(response, status, type, body))
      .catch(() => response.destroy());
  });
}

function send(response: ServerResponse, status: number, type: string, body: string): void {
  response.writeHead(status, { "content-type": type, "content-length": Buffer.byteLength(body) }).end(body);
}

const fields = {
  roots: "root",
  "root-keys": "rootKey",
  intermediates: "intermediate",
  "intermediate-keys": "intermediateKey",
} as const;

async function answer(request: IncomingMessage, parts: ManagementParts): Promise<Answer> {
  const path = new URL(request.url ?? "", "https://localhost").pathname;
  if (request.method === "POST" && path === "/set-renewal-info/") return await setRenewalInfo(request, parts);
  const [, what = "", which = ""] = /^\/([a-z-]+)\/([0-9A-Fa-f]+)$/.exec(path) ?? [];
  if (what === "cert-status-by-serial") return await statusOf(which.toLowerCase(), parts);
  const field = Object.hasOwn(fields, what) ? fields[what as keyof typeof fields] : undefined;
  const pem = field && parts.chains[Number(which)]?.[field];
  return pem === undefined
    ? notFound
    : { status: 200, type: "application/pem-certificate-chain; charset=utf-8", body: pem };
}

/** Hexadecimal as clients write it, possibly without leading zeros. */
async function statusOf(hex: string, { inventory }: ManagementParts): Promise<Answer> {
  const serial = hex.length % 2 === 0 ? hex : `0${hex}`;
  const { status, body } = await inventory(`/certificates/${serial}`);
  if (status !== 200) return notFound;
  const revoked = body["state"] === "revoked";
  const facts = {
    Serial: hex,
    Status: revoked ? "Revoked" : "Valid",
    Certificate: body["pem"],
    ...(revoked && { Reason: body["revocationReason"] ?? 0, RevokedAt: body["revokedAt"] }),
  };
  return { status: 200, type: "application/json", body: JSON.stringify(facts) };
}

async function setRenewalInfo(request: IncomingMessage, { renewalInfo }: ManagementParts): Promise<Answer> {
  let text = "";
  for await (const chunk of request.setEncoding("utf8")) {
    text += String(chunk);
    if (text.length > bodyBytesMax) return { status: 413 };
  }
  const { Certificate, ARIResponse } = JSON.parse(text) as { Certificate?: string; ARIResponse?: string };
  if (Certificate === undefined || ARIResponse === undefined) return { status: 400 };
  renewalInfo.set(certificateIdOf(Certificate), ARIResponse);
  return { status: 200 };
}

function certificateIdOf(pem: string): string {
  const { serialNumber, extensions } = readCertificate(new X509Certificate(pem).raw);
  const extension = extensions.find(({ oid }) => oid === oids.authorityKeyIdentifier);
  const keyIdentifier = extension && readAuthorityKeyIdentifier(extension.value);
  if (keyIdentifier === undefined) throw new Error("the certificate has no authority key identifier");
  return writeCertificateId({ keyIdentifier, serialNumber });
}
