/** The listener's TLS: files of the operator's, a certificate of our own that renews itself, or none behind a proxy. */
import type { KeyObject } from "node:crypto";
import { promises as fs } from "node:fs";
import type { Server as TlsServer } from "node:https";
import path from "node:path";
import type { FastifyInstance } from "fastify";
import type { Logger } from "pino";

import { authorizeListener } from "./authority/authorize.ts";
import type { Issuing } from "./authority/issue.ts";
import { defaultIssuerName, type Issuers } from "./authority/issuer.ts";
import { readProfile } from "./authority/profile.ts";
import type { Configuration } from "./config/load.ts";
import { ensureListenerCertificate, listenerNames } from "./http/listenerCertificate.ts";
import type { ListenerTls } from "./http/server.ts";
import { pemEncode } from "./x509/pem.ts";
import { keyOf } from "./x509/publicKey.ts";

/** The built-in profile of the listener's certificate; not on offer to clients. */
export const listenerProfile = readProfile("listener", {
  description: "TLS certificate of this server's own listener",
  identifiers: ["dns", "ip"],
  lifetimeDefaultSeconds: 30 * 86_400,
  lifetimeMinSeconds: 60,
  lifetimeMaxSeconds: 30 * 86_400,
  backdateSeconds: 300,
  keyKinds: ["ec-p256"],
  extendedKeyUsage: ["serverAuth"],
});

export interface Listener {
  tls(): Promise<ListenerTls | undefined>;
  /** Looks whether the certificate is old, and gives the running server a new one then. */
  renew(server: FastifyInstance): Promise<void>;
  /** The same where another issuer is active than the one that signed: its own goes out of use. */
  follow(server: FastifyInstance): Promise<void>;
}

export function createListener(
  configuration: Configuration,
  issuers: Issuers,
  issuing: Issuing,
  log: Logger,
  now: () => Date,
): Listener {
  const { tls, externalUrl, dataDir } = configuration;

  async function issue(publicKey: KeyObject): Promise<string> {
    const authorized = authorizeListener(
      { ...listenerNames(externalUrl), uri: [], permanentIdentifiers: [] },
      listenerProfile,
    );
    const outcome = await issuing.issue(authorized, keyOf(publicKey));
    if (outcome.outcome !== "issued") throw new Error("the listener's certificate could not be issued");
    return pemEncode("CERTIFICATE", outcome.certificate) + outcome.issuer.chainPem;
  }

  const ensure = () =>
    ensureListenerCertificate({
      directory: dataDir,
      names: listenerNames(externalUrl),
      issuerCertificate: issuers.active(defaultIssuerName).certificate,
      issue,
      onUnkept: (error) =>
        log.error({ err: error }, "the listener's certificate serves, and could not be kept in its file"),
      now: now(),
    });

  /** Id of the issuer that was active when the certificate was looked at last. */
  let signedBy = issuers.active(defaultIssuerName).id;

  async function renew(server: FastifyInstance): Promise<void> {
    if (tls.mode !== "auto") return;
    const { certificate, key, renewed } = await ensure();
    if (!renewed) return;
    (server.server as unknown as TlsServer).setSecureContext({ cert: certificate, key, minVersion: "TLSv1.2" });
  }

  return {
    async tls() {
      if (tls.mode === "off") return undefined;
      if (tls.mode === "auto") return await ensure();
      return {
        certificate: await fs.readFile(path.resolve(tls.certificateFile ?? ""), "utf8"),
        key: await fs.readFile(path.resolve(tls.keyFile ?? ""), "utf8"),
      };
    },
    renew,
    async follow(server) {
      const active = issuers.all().find(({ name, state }) => name === defaultIssuerName && state === "active");
      if (active === undefined || active.id === signedBy) return;
      await renew(server);
      signedBy = active.id;
    },
  };
}
