/** Grants that ask for several pieces of evidence, over ACME: two issuers that vouch for one thing together. */
import t from "tap";
import { acmeDriver, uri } from "../../support/acmeDriver.ts";
import { bindingOf, certificateKey } from "../../support/acmeFlows.ts";
import { certificateAuthority } from "../../support/certificateAuthority.ts";
import { tokenIssuer } from "../../support/tokenIssuer.ts";

t.setTimeout(120_000);

t.test("allOf over ACME", async (t) => {
  const pods = await tokenIssuer(t, "https://pods.example");
  const nodes = await tokenIssuer(t, "https://nodes.example");
  const source = (ref: string, { issuer, jwksUrl }: typeof pods, format = "jwt") => ({ ref, format, issuer, jwksUrl });
  const both = {
    name: "both",
    spiffeId: "spiffe://mayfly.localhost/pod/{sub}",
    source: "pods",
    minBinding: "bearer",
    profile: "workload",
    allOf: [{ source: "nodes", minBinding: "nonce", sameAs: [{ claim: "host", as: "node" }] }],
  };
  const vouched = {
    ...both,
    name: "vouched",
    spiffeId: "spiffe://mayfly.localhost/vouched/{path2}",
    source: "authority",
    minBinding: "key",
    allOf: [{ source: "nodes", minBinding: "bearer", conditions: [{ claim: "host", equals: "n1" }] }],
  };
  const ca = await certificateAuthority(t, {
    configuration: {
      attestation: {
        sources: [
          source("pods", pods),
          source("nodes", nodes),
          source("authority", await tokenIssuer(t, "https://authority.example"), "atc"),
        ],
      },
      grants: [both, vouched],
    },
  });
  const acme = await acmeDriver(t, ca);
  const alice = await acme.account();
  const { audience } = ca.configuration;

  /** An order for the pod, answered with what `shown` makes of the bound audience; the challenge as it is then. */
  async function answered(shown: (bound: string) => { ref: string; value: string }[]) {
    const order = await alice.newOrder(uri("spiffe://mayfly.localhost/pod/p1"));
    const authorization = await alice.readAuthorization(order.authorizations[0]);
    const [challenge] = authorization.challenges;
    if (challenge === undefined) throw new Error("no challenge");
    const key = certificateKey();
    const bound = `${audience}/${bindingOf(challenge, alice.key, key.spki)}`;
    const evidence = shown(bound).map((item) => ({ format: "jwt", ...item }));
    const reply = await alice.post(challenge.url, { spki: key.spki, evidence });
    return {
      order,
      challenge,
      key,
      reply: reply.json() as { status: string; error?: { subproblems: { type: string }[] } },
    };
  }
  const pod = (claims: object = {}) => ({
    ref: "pods",
    value: pods.mint({ aud: audience, sub: "p1", node: "n1", ...claims }),
  });
  const node = (aud: string, host = "n1") => ({ ref: "nodes", value: nodes.mint({ aud, sub: "node", host }) });
  const reason = ({ reply: { status, error } }: Awaited<ReturnType<typeof answered>>): string =>
    `${status} ${error?.subproblems[0]?.type.split(":").at(-1) ?? ""}`.trim();

  t.test("the challenge says what must come together", async (t) => {
    const { challenge } = await answered((bound) => [pod(), node(bound)]);
    t.same(challenge["accept" as keyof typeof challenge], [
      {
        format: "jwt",
        ref: "pods",
        minBinding: "bearer",
        with: [{ format: "jwt", ref: "nodes", minBinding: "nonce" }],
      },
    ]);
  });

  t.test("both pieces, in whatever order, give the certificate, and both are recorded", async (t) => {
    for (const shown of [(bound: string) => [pod(), node(bound)], (bound: string) => [node(bound), pod()]]) {
      const flow = await answered(shown);
      t.equal(reason(flow), "valid");
      const csr = flow.key.csr({ uri: ["spiffe://mayfly.localhost/pod/p1"] });
      t.equal((await alice.post(flow.order.finalize, { csr })).json()["status"], "valid");
    }
    const { body } = await ca.inventory("/certificates?spiffeId=spiffe://mayfly.localhost/pod/p1");
    t.match(body["certificates"], [
      {
        rule: "both",
        evidenceSource: "pods",
        evidence: [{ proved: { record: { with: [{ source: "nodes", bindingLevel: "nonce" }] } } }],
      },
      { evidenceSource: "pods" },
    ]);
  });

  t.test(
    "a piece that is missing, of another machine, bound to something else or to nothing, or shown again",
    async (t) => {
      t.equal(reason(await answered(() => [pod()])), "invalid identityNotDerived", "the node is missing");
      t.equal(reason(await answered((bound) => [node(bound)])), "invalid identityNotDerived", "the pod is missing");
      t.equal(
        reason(await answered((bound) => [pod(), node(bound, "n2")])),
        "invalid identityNotDerived",
        "two machines",
      );
      t.equal(reason(await answered((bound) => [pod({ node: undefined }), node(bound)])), "invalid identityNotDerived");
      t.equal(
        reason(await answered(() => [pod(), node(audience)])),
        "invalid identityNotDerived",
        "the node's is a bearer's",
      );
      t.equal(reason(await answered(() => [pod(), node(`${audience}/${"A".repeat(43)}`)])), "invalid bindingMismatch");
      const kept = pod();
      t.equal(reason(await answered((bound) => [kept, node(bound)])), "valid");
      t.equal(
        reason(await answered((bound) => [kept, node(bound)])),
        "invalid evidenceReplayed",
        "the pod's token once more",
      );
    },
  );

  t.test("H-26 tkauth-01 is one piece, and not offered where two are asked for", async (t) => {
    const order = await alice.newOrder(uri("spiffe://mayfly.localhost/vouched/x"));
    const { challenges } = await alice.readAuthorization(order.authorizations[0]);
    t.same(
      challenges.map(({ type }) => type),
      ["workload-attest-01"],
    );
  });
});
