/**
 * A client and an ACME fake for it to talk to.
 */
import * as jose from "jose";
import type { Test } from "tap";
import { AcmeProblem } from "../../src/client/errors.ts";
import type { Evidence, EvidenceBinding } from "../../src/client/evidence.ts";
import { type CertificateRequest, MayflyClient, type MayflyClientOptions } from "../../src/client/mayflyClient.ts";
import { type AcmeFake, startAcmeFake } from "./acmeFake.ts";

export const spiffeId = "spiffe://mayfly.test/agent/one";

/** A token as a nonce-bound platform would mint it. The fake reads only its audience. */
export const boundToken = async ({
  boundAudience,
}: EvidenceBinding): ReturnType<Exclude<Evidence, readonly unknown[]>> => [
  { format: "jwt", ref: "dev", value: new jose.UnsecuredJWT({}).setAudience(boundAudience).encode() },
];

export const wanted: CertificateRequest = { spiffeId, evidence: boundToken };

export interface Ground {
  readonly fake: AcmeFake;
  readonly client: (options?: Partial<MayflyClientOptions>) => MayflyClient;
}

export async function ground(test: Test): Promise<Ground> {
  const fake = await startAcmeFake();
  test.teardown(() => fake.close());
  return {
    fake,
    client(options) {
      const client = new MayflyClient({
        directoryUrl: fake.directoryUrl,
        root: fake.rootPem,
        timeoutMs: 5_000,
        ...options,
      });
      test.teardown(() => client.close());
      return client;
    },
  };
}

/** A platform that never answers. */
export const stuck = (): Promise<never> => Promise.withResolvers<never>().promise;

/** The problem that the request ended with. */
export async function refusal(work: Promise<unknown>): Promise<AcmeProblem> {
  const error = await work.then(
    () => new Error("it was not refused"),
    (reason: unknown) => reason,
  );
  if (error instanceof AcmeProblem) return error;
  throw error;
}
