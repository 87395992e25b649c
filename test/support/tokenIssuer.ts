/** An OIDC issuer as platforms run one: an RSA key of its own, JWKS over HTTP or as a file, tokens for whoever asks with an audience. */
import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { compact, kubernetesMembers, testKey } from "../attestation/testIssuer.ts";
import { listen, type Teardown } from "./validationTargets.ts";

export interface TokenIssuer {
  /** Where it serves its key and, for a platform's own agents, tokens. */
  readonly url: string;
  readonly issuer: string;
  readonly jwksUrl: string;
  /** The content of a `jwksFile`. */
  readonly jwks: string;
  /** A token over these claims; issuer, times and id are the issuer's own. */
  mint(claims: Readonly<Record<string, unknown>>): string;
  /** A projected service-account token, as the kubelet writes it into a pod. */
  mintProjected(audience: string, serviceAccount: { readonly namespace: string; readonly name: string }): string;
  /** Every token that was given out over HTTP, newest last. */
  readonly given: readonly string[];
}

/**
 * Serves on loopback until the test's end. `GET /token?audience=…&subject=…` gives a token, as text, and
 * `GET /authority-token?spiffeId=…&fingerprint=…` one of RFC 9447.
 */
export async function tokenIssuer(t: Teardown, issuer: string): Promise<TokenIssuer> {
  const key = testKey(randomUUID(), "RS256");
  const jwks = JSON.stringify({ keys: [{ ...key.jwk, alg: "RS256" }] });
  const given: string[] = [];
  const mint = (claims: Readonly<Record<string, unknown>>): string => {
    const iat = Math.floor(Date.now() / 1000);
    return compact(key, { iss: issuer, iat, exp: iat + 300, jti: randomUUID(), ...claims });
  };
  const server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? "/", "http://issuer");
    if (pathname === "/jwks") return response.setHeader("content-type", "application/json").end(jwks);
    if (pathname !== "/token" && pathname !== "/authority-token") return response.writeHead(404).end();
    const [tkvalue, fingerprint] = [searchParams.get("spiffeId"), searchParams.get("fingerprint")];
    const token =
      pathname === "/authority-token"
        ? mint({ atc: { tktype: "uri", tkvalue, fingerprint, ca: false } })
        : mint({ aud: searchParams.get("audience"), sub: searchParams.get("subject") });
    given.push(token);
    return response.end(token);
  });
  const url = `http://127.0.0.1:${await listen(t, server)}`;
  return {
    url,
    issuer,
    jwksUrl: `${url}/jwks`,
    jwks,
    mint,
    mintProjected(audience, { namespace, name }) {
      const iat = Math.floor(Date.now() / 1000);
      return mint({
        aud: [audience],
        nbf: iat,
        exp: iat + 3607,
        sub: `system:serviceaccount:${namespace}:${name}`,
        "kubernetes.io": { ...kubernetesMembers, namespace, serviceaccount: { name, uid: randomUUID() } },
      });
    },
    given,
  };
}
