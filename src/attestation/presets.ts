/**
 * Platforms whose tokens the format `jwt` knows, as their documentation describes them. Data: what is done with it is in `presetRules.ts`.
 */
import type { ClaimReference } from "./claimReference.ts";
import type { BindingLevel, EvidenceRefusal } from "./evidence.ts";
import type { SourceAlgorithm } from "./tokenSource.ts";

/** A claim that a token of the platform must have, with exactly this value. */
export interface RequiredClaim {
  readonly claim: ClaimReference;
  /** `{tenantId}` stands for that setting. */
  readonly equals: string | boolean;
  readonly refusal: EvidenceRefusal;
}

/** A grant to begin with. Its path is made of ids that nobody can take over, and its conditions hold the tenant. */
export interface ExampleGrant {
  readonly name: string;
  readonly about: string;
  /** Below `spiffe://<trust domain>`. */
  readonly path: string;
  readonly conditions: readonly (
    | { readonly claim: ClaimReference; readonly equals: string | number }
    | { readonly claim: ClaimReference; readonly oneOf: readonly string[] }
  )[];
  readonly minBinding: BindingLevel;
}

export interface Preset {
  readonly name: string;
  readonly platform: string;
  /** `iss` of its tokens, the first unless a source says which; `{tenantId}` stands for that setting. */
  readonly issuers: readonly string[];
  /** What the `iss` of somebody's own installation or account looks like; none where there is no such thing. */
  readonly ownIssuer?: RegExp;
  /** Where its keys are; `{issuer}` and `{tenantId}` stand for those settings. Absent where nobody can know. */
  readonly jwksUrl?: string;
  readonly algorithms?: readonly SourceAlgorithm[];
  readonly typ?: string;
  readonly maxAgeSeconds?: number;
  readonly maxLifetimeSeconds?: number;
  /** Ids that tell its tenants apart and that no tenant can take over; absent where the issuer has one tenant. */
  readonly tenantClaims?: readonly ClaimReference[];
  readonly requires: readonly RequiredClaim[];
  /** What names the running instance, all together. `mayLack`: not every token of the platform has it, and the workload cannot choose. */
  readonly instance?: { readonly claims: readonly ClaimReference[]; readonly mayLack?: true };
  /** Where the workload can put the binding value besides the audience. */
  readonly bindingClaim?: ClaimReference;
  /** Settings of a source to begin with, besides `ref`, `format` and `preset`. */
  readonly example: Readonly<Record<string, string>>;
  readonly grants: readonly ExampleGrant[];
}

const ownInstallation = /^https:\/\/[a-z0-9.-]+(?::\d{1,5})?(?:\/[A-Za-z0-9._~-]+)*$/;
const awsClaims = "/https:~1~1sts.amazonaws.com~1";

export const presets: readonly Preset[] = [
  {
    name: "github-actions",
    platform: "GitHub Actions, also of an enterprise or a GitHub Enterprise Server by its issuer",
    issuers: ["https://token.actions.githubusercontent.com"],
    ownIssuer: ownInstallation,
    jwksUrl: "{issuer}/.well-known/jwks",
    algorithms: ["RS256"],
    typ: "JWT",
    maxAgeSeconds: 900,
    maxLifetimeSeconds: 900,
    tenantClaims: ["repository_owner_id", "repository_id", "enterprise_id"],
    requires: [],
    instance: { claims: ["run_id", "run_attempt"] },
    example: {},
    grants: [
      {
        name: "github-deploy",
        about: "Jobs of an environment, which the repository's own rules guard.",
        path: "/github/{repository_id}/{environment}",
        conditions: [
          { claim: "repository_owner_id", equals: "1342004" },
          { claim: "environment", oneOf: ["production", "staging"] },
        ],
        minBinding: "nonce",
      },
      {
        name: "github-release",
        about: "One workflow on the protected main branch, and not for pull requests.",
        path: "/github/{repository_id}/release",
        conditions: [
          { claim: "repository_id", equals: "296269" },
          { claim: "job_workflow_ref", equals: "octo-org/app/.github/workflows/release.yml@refs/heads/main" },
          { claim: "ref", equals: "refs/heads/main" },
          { claim: "ref_protected", equals: "true" },
          { claim: "event_name", oneOf: ["push", "workflow_dispatch"] },
        ],
        minBinding: "nonce",
      },
    ],
  },
  {
    name: "gitlab",
    platform: "GitLab CI/CD id_tokens of gitlab.com, or of another GitLab by its issuer",
    issuers: ["https://gitlab.com"],
    ownIssuer: ownInstallation,
    jwksUrl: "{issuer}/oauth/discovery/keys",
    algorithms: ["RS256"],
    maxAgeSeconds: 3600,
    maxLifetimeSeconds: 86_400,
    tenantClaims: ["namespace_id", "project_id"],
    requires: [],
    instance: { claims: ["job_id"] },
    example: {},
    grants: [
      {
        name: "gitlab-deploy",
        about:
          "Jobs on a protected branch or tag of one project, not of merge requests. The job fixes the audience: bearer.",
        path: "/gitlab/{project_id}/{ref_type}",
        conditions: [
          { claim: "namespace_id", equals: "72" },
          { claim: "project_id", equals: "22" },
          { claim: "ref_protected", equals: "true" },
          { claim: "pipeline_source", oneOf: ["push", "web"] },
        ],
        minBinding: "bearer",
      },
    ],
  },
  {
    name: "buildkite",
    platform: "Buildkite jobs; ask the agent for --claim organization_id,pipeline_id",
    issuers: ["https://agent.buildkite.com"],
    jwksUrl: "https://agent.buildkite.com/.well-known/jwks",
    algorithms: ["RS256"],
    maxAgeSeconds: 600,
    maxLifetimeSeconds: 7200,
    tenantClaims: ["organization_id", "pipeline_id"],
    requires: [],
    instance: { claims: ["job_id"] },
    example: {},
    grants: [
      {
        name: "buildkite-main",
        about: "Builds of one pipeline on main.",
        path: "/buildkite/{pipeline_id}/main",
        conditions: [
          { claim: "organization_id", equals: "0184990a-477b-4fa8-9968-496074483cee" },
          { claim: "pipeline_id", equals: "0184990a-4782-42b5-afc1-16715b10b8ff" },
          { claim: "build_branch", equals: "main" },
        ],
        minBinding: "nonce",
      },
    ],
  },
  {
    name: "gcp",
    platform: "Google Cloud virtual machines, by the metadata server's identity token with format=full",
    issuers: ["https://accounts.google.com"],
    jwksUrl: "https://www.googleapis.com/oauth2/v3/certs",
    algorithms: ["RS256"],
    typ: "JWT",
    maxAgeSeconds: 3600,
    maxLifetimeSeconds: 3600,
    tenantClaims: ["/google/compute_engine/project_number", "sub"],
    requires: [],
    instance: { claims: ["/google/compute_engine/instance_id"] },
    example: {},
    grants: [
      {
        name: "gcp-machines",
        about: "Machines of one project, told apart by the service account's unique id.",
        path: "/gcp/{/google/compute_engine/project_number}/{sub}",
        conditions: [{ claim: "/google/compute_engine/project_number", equals: 739_419_398_126 }],
        minBinding: "nonce",
      },
    ],
  },
  {
    name: "gcp-confidential-space",
    platform: "Google Cloud Confidential Space, by its attestation token",
    issuers: ["https://confidentialcomputing.googleapis.com"],
    jwksUrl:
      "https://www.googleapis.com/service_accounts/v1/metadata/jwk/signer@confidentialspace-sign.iam.gserviceaccount.com",
    algorithms: ["RS256"],
    typ: "JWT",
    maxAgeSeconds: 3600,
    maxLifetimeSeconds: 3600,
    // Whose project it is counts, too: an image that everybody may read runs in everybody's machines.
    tenantClaims: ["/submods/gce/project_number"],
    requires: [
      { claim: "swname", equals: "CONFIDENTIAL_SPACE", refusal: "measurementMismatch" },
      { claim: "dbgstat", equals: "disabled-since-boot", refusal: "measurementMismatch" },
      { claim: "secboot", equals: true, refusal: "measurementMismatch" },
    ],
    instance: { claims: ["/submods/gce/instance_id"] },
    bindingClaim: "eat_nonce",
    example: {},
    grants: [
      {
        name: "confidential-payments",
        about: "One image, by its digest, in one project.",
        path: "/confidential/{/submods/gce/project_number}/payments",
        conditions: [
          { claim: "/submods/gce/project_number", equals: "470652426305" },
          {
            claim: "/submods/container/image_digest",
            equals: "sha256:667b7cc9407f7d9949d43fd51dde2a5b66db9b695ef5bfe525cf8576d54ffaa9",
          },
        ],
        minBinding: "nonce",
      },
    ],
  },
  {
    name: "aws-sts",
    platform: "AWS, by GetWebIdentityToken of one account's own issuer",
    issuers: [],
    ownIssuer: /^https:\/\/[a-z0-9-]+\.tokens\.sts\.global\.api\.aws$/,
    jwksUrl: "{issuer}/.well-known/jwks.json",
    algorithms: ["RS256", "ES384"],
    maxAgeSeconds: 3600,
    maxLifetimeSeconds: 3600,
    requires: [],
    // AWS puts it into the tokens of machines; functions and containers have none.
    instance: { claims: [`${awsClaims}/ec2_source_instance_arn`], mayLack: true },
    bindingClaim: `${awsClaims}/request_tags/mayfly-binding`,
    example: { issuer: "https://0e7c3b9a-4f6d-4c1e-9a57-2f1b6d8e4c30.tokens.sts.global.api.aws" },
    grants: [
      {
        name: "aws-data-processing",
        about: "One role of the account.",
        path: `/aws/{${awsClaims}/aws_account}/data-processing`,
        conditions: [{ claim: "sub", equals: "arn:aws:iam::123456789012:role/DataProcessingRole" }],
        minBinding: "nonce",
      },
    ],
  },
  {
    name: "azure-managed-identity",
    platform: "Azure managed identities of one tenant, by a token for an application registered there",
    issuers: ["https://sts.windows.net/{tenantId}/", "https://login.microsoftonline.com/{tenantId}/v2.0"],
    jwksUrl: "https://login.microsoftonline.com/{tenantId}/discovery/v2.0/keys",
    algorithms: ["RS256"],
    typ: "JWT",
    // The metadata server hands out one token for a day, which begins five minutes before it is made.
    maxAgeSeconds: 86_400,
    maxLifetimeSeconds: 90_000,
    requires: [{ claim: "tid", equals: "{tenantId}", refusal: "evidenceInvalid" }],
    example: {
      tenantId: "72f988bf-86f1-41af-91ab-2d7cd011db47",
      audience: "api://7c2c6f6e-4d0b-4c39-8a3e-9d4b5f1e2a10",
    },
    grants: [
      {
        name: "azure-identities",
        about:
          "Managed identities by object id. People of the tenant may get tokens for the application: name them all.",
        path: "/azure/{oid}",
        conditions: [
          {
            claim: "oid",
            oneOf: ["5f2c8a54-3b1e-4c0f-9d5a-7e6b4c2d1f00", "b0a7d6c5-1e2f-4a3b-8c9d-0e1f2a3b4c5d"],
          },
        ],
        minBinding: "bearer",
      },
    ],
  },
  {
    name: "terraform-cloud",
    platform: "HCP Terraform runs, or those of a Terraform Enterprise by its issuer",
    issuers: ["https://app.terraform.io"],
    ownIssuer: ownInstallation,
    jwksUrl: "{issuer}/.well-known/jwks",
    algorithms: ["RS256"],
    typ: "JWT",
    maxAgeSeconds: 86_400,
    maxLifetimeSeconds: 90_000,
    tenantClaims: ["terraform_organization_id", "terraform_project_id", "terraform_workspace_id"],
    requires: [],
    // Plan and apply of one run are two processes.
    instance: { claims: ["terraform_run_id", "terraform_run_phase"] },
    example: {},
    grants: [
      {
        name: "terraform-workspaces",
        about: "Runs of one organization's workspaces, plan and apply apart. The workspace fixes the audience: bearer.",
        path: "/terraform/{terraform_workspace_id}/{terraform_run_phase}",
        conditions: [
          { claim: "terraform_organization_id", equals: "org-GRNbCjYNpBB6NEBH" },
          { claim: "terraform_run_phase", oneOf: ["plan", "apply"] },
        ],
        minBinding: "bearer",
      },
    ],
  },
  {
    name: "generic",
    platform: "any other OIDC issuer: nothing is filled in, as without a preset",
    issuers: [],
    ownIssuer: /^/,
    requires: [],
    example: { issuer: "https://issuer.example", jwksUrl: "https://issuer.example/jwks" },
    grants: [
      {
        name: "generic-subjects",
        about: "Subjects of an issuer that serves nobody else.",
        path: "/workloads/{sub}",
        conditions: [{ claim: "sub", oneOf: ["billing", "search"] }],
        minBinding: "nonce",
      },
    ],
  },
];
