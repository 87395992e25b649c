/** Ground for agents: a server with a configuration, evidence sources of the tests' own, and `mayfly request` at hand. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { stringify } from "yaml";

import type { TestOwner } from "./certificateAuthority.ts";
import { mayfly, runMayfly, type Ended } from "./program.ts";
import { serverPlace, startServer, type ServerProcess } from "./serverProcess.ts";
import { tokenIssuer, type TokenIssuer } from "./tokenIssuer.ts";
import type { Teardown } from "./validationTargets.ts";

export interface AttestingServer {
  readonly server: ServerProcess;
  readonly platform: TokenIssuer;
  readonly cluster: TokenIssuer;
  /** Where evidence and results are. */
  readonly folder: string;
}

/** A server with a configuration: an OIDC issuer twice, once with fetched keys and once with a file of them, and a cluster. */
export async function attestingServer(owner: TestOwner & Teardown): Promise<AttestingServer> {
  const platform = await tokenIssuer(owner, "https://platform.example");
  const cluster = await tokenIssuer(owner, "https://kubernetes.default.svc.cluster.local");
  const place = await serverPlace(owner);
  const folder = join(place.dataDir, "agents");
  const file = (name: string): string => join(place.dataDir, name);
  await mkdir(folder);
  await writeFile(file("platform.json"), platform.jwks);
  await writeFile(file("cluster.json"), cluster.jwks);
  const { issuer, jwksUrl } = platform;
  const configuration = {
    trustDomain: "example.org",
    attestation: {
      sources: [
        { ref: "fetched", format: "jwt", issuer, jwksUrl },
        { ref: "static", format: "jwt", issuer, jwksFile: file("platform.json") },
        { ref: "orchestrator", format: "atc", issuer, jwksUrl },
        { ref: "prod-east", format: "k8s", issuer: cluster.issuer, jwksFile: file("cluster.json") },
      ],
    },
    grants: [
      {
        name: "bound",
        spiffeId: "spiffe://example.org/bound/{sub}",
        source: "fetched",
        minBinding: "nonce",
        profile: "workload",
      },
      {
        name: "carried",
        spiffeId: "spiffe://example.org/carried/{sub}",
        source: "static",
        minBinding: "bearer",
        profile: "workload",
      },
      {
        name: "vouched",
        spiffeId: "spiffe://example.org/vouched/{path2}",
        source: "orchestrator",
        minBinding: "key",
        profile: "workload",
      },
      {
        name: "pods",
        spiffeId: "spiffe://example.org/ns/{namespace}/sa/{serviceAccount}",
        source: "prod-east",
        minBinding: "bearer",
        profile: "workload",
      },
    ],
  };
  await writeFile(file("mayfly.yaml"), stringify(configuration));
  const server = await startServer(owner, place, { command: [mayfly, "serve", "--config", file("mayfly.yaml")] });
  return { server, platform, cluster, folder };
}

/** Runs `mayfly request` against the server. */
export function request(
  server: ServerProcess,
  spiffeId: string,
  evidence: string,
  out: string,
  more: readonly string[] = [],
): Promise<Ended> {
  const where = ["--directory", server.directoryUrl, "--root", server.rootFile];
  return runMayfly(["request", ...where, "--spiffe-id", spiffeId, "--evidence", evidence, "--out", out, ...more], {
    // The agent's own environment: `dev-token` in an exec: command finds the development issuer by it.
    env: { MAYFLY_DATA_DIR: server.dataDir, MAYFLY_EXTERNAL_URL: server.url },
  });
}

/** A shell command that asks an authority for a token, for the identity and the account key of this request. */
export const askToVouch = ({ url }: TokenIssuer): string => {
  const script = `const { MAYFLY_SPIFFE_ID: spiffeId, MAYFLY_FINGERPRINT: fingerprint } = process.env; fetch("${url}/authority-token?" + new URLSearchParams({ spiffeId, fingerprint })).then(async (r) => console.log(await r.text()))`;
  return `exec:'${process.execPath}' -e '${script}'`;
};

/** A shell command that asks the platform for a token with the audience that binds it to this request, as CI platforms offer it. */
export const ask = ({ url }: TokenIssuer, subject: string): string => {
  const script = `fetch("${url}/token?subject=${subject}&audience=" + encodeURIComponent(process.env.MAYFLY_AUDIENCE)).then(async (r) => console.log(await r.text()))`;
  return `exec:'${process.execPath}' -e '${script}'`;
};
