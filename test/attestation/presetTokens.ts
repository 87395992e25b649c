/** Claims as the platforms' documentation shows them, for the tests of presets: what a job or machine of each gets. */
import type { JwtSettings } from "../../src/attestation/presetRules.ts";
import { boundAudience, context, nowSeconds } from "./testIssuer.ts";

export interface PresetToken {
  readonly settings: Partial<JwtSettings>;
  readonly claims: Readonly<Record<string, unknown>>;
  readonly instance: string | undefined;
  readonly level: "nonce" | "bearer";
  /** What the first grant that `mayfly presets` prints makes of it, with the example's ids. */
  readonly spiffeId: string;
}

const times = (seconds: number) => ({ iat: nowSeconds - 10, nbf: nowSeconds - 10, exp: nowSeconds - 10 + seconds });
const tenantId = "72f988bf-86f1-41af-91ab-2d7cd011db47";
const azureAudience = "api://7c2c6f6e-4d0b-4c39-8a3e-9d4b5f1e2a10";
const awsIssuer = "https://0e7c3b9a-4f6d-4c1e-9a57-2f1b6d8e4c30.tokens.sts.global.api.aws";

export const presetTokens: Readonly<Record<string, PresetToken>> = {
  "github-actions": {
    settings: {},
    claims: {
      iss: "https://token.actions.githubusercontent.com",
      aud: boundAudience,
      jti: "d4f1a0c2-3c0e-4b70-9d39-1df1d1b2b3a4",
      // Since June 2026 with ids in it; nothing of ours looks at it.
      sub: "repo:octo-org@1342004/app@296269:environment:production",
      ...times(300),
      repository: "octo-org/app",
      repository_id: "296269",
      repository_owner: "octo-org",
      repository_owner_id: "1342004",
      environment: "production",
      ref: "refs/heads/main",
      ref_type: "branch",
      ref_protected: "true",
      event_name: "push",
      job_workflow_ref: "octo-org/app/.github/workflows/release.yml@refs/heads/main",
      run_id: "3989419862",
      run_attempt: "1",
      runner_environment: "github-hosted",
    },
    instance: "3989419862/1",
    level: "nonce",
    spiffeId: "spiffe://example.org/github/296269/production",
  },
  gitlab: {
    settings: {},
    claims: {
      iss: "https://gitlab.com",
      aud: context.audience,
      jti: "235b3a54-b797-45c7-ae9a-f72d7bc6ef5b",
      sub: "project_path:my-group/my-project:ref_type:branch:ref:main",
      ...times(300),
      namespace_id: "72",
      namespace_path: "my-group",
      project_id: "22",
      project_path: "my-group/my-project",
      user_id: "42",
      pipeline_id: "1212",
      pipeline_source: "web",
      job_id: "1302",
      ref: "main",
      ref_type: "branch",
      ref_protected: "true",
    },
    instance: "1302",
    level: "bearer",
    spiffeId: "spiffe://example.org/gitlab/22/branch",
  },
  buildkite: {
    settings: {},
    claims: {
      iss: "https://agent.buildkite.com",
      aud: boundAudience,
      sub: "organization:acme-inc:pipeline:super-duper-app:ref:refs/heads/main:commit:9f3182061f1e2cca4702c368cbc039b7dc9d4485:step:build",
      ...times(300),
      organization_slug: "acme-inc",
      organization_id: "0184990a-477b-4fa8-9968-496074483cee",
      pipeline_slug: "super-duper-app",
      pipeline_id: "0184990a-4782-42b5-afc1-16715b10b8ff",
      build_number: 1,
      build_branch: "main",
      build_tag: null,
      step_key: "build",
      job_id: "0184990a-477b-4fa8-9968-496074483cf0",
      agent_id: "0184990a-4782-42b5-afc1-16715b10b8aa",
    },
    instance: "0184990a-477b-4fa8-9968-496074483cf0",
    level: "nonce",
    spiffeId: "spiffe://example.org/buildkite/0184990a-4782-42b5-afc1-16715b10b8ff/main",
  },
  gcp: {
    settings: {},
    claims: {
      iss: "https://accounts.google.com",
      aud: boundAudience,
      azp: "107517467455664443766",
      sub: "107517467455664443766",
      email: "machine@my-project.iam.gserviceaccount.com",
      email_verified: true,
      iat: nowSeconds - 10,
      exp: nowSeconds + 3590,
      google: {
        compute_engine: {
          project_id: "my-project",
          project_number: 739_419_398_126,
          zone: "us-west1-a",
          instance_id: "152986662232938449",
          instance_name: "example",
          instance_creation_timestamp: 1_496_952_205,
        },
      },
    },
    instance: "152986662232938449",
    level: "nonce",
    spiffeId: "spiffe://example.org/gcp/739419398126/107517467455664443766",
  },
  "gcp-confidential-space": {
    settings: {},
    claims: {
      iss: "https://confidentialcomputing.googleapis.com",
      aud: context.audience,
      sub: "https://www.googleapis.com/compute/v1/projects/test-project/zones/us-east4-c/instances/payments-1",
      ...times(3600),
      eat_nonce: ["thisIsAcustomNonce", context.binding],
      secboot: true,
      oemid: 11_129,
      hwmodel: "GCP_AMD_SEV",
      swname: "CONFIDENTIAL_SPACE",
      swversion: ["260900"],
      dbgstat: "disabled-since-boot",
      submods: {
        confidential_space: { support_attributes: ["LATEST", "STABLE", "USABLE"] },
        container: {
          image_reference: "us-docker.pkg.dev/test-project/payments/worker:latest",
          image_digest: "sha256:667b7cc9407f7d9949d43fd51dde2a5b66db9b695ef5bfe525cf8576d54ffaa9",
        },
        gce: {
          zone: "us-east4-c",
          project_id: "test-project",
          project_number: "470652426305",
          instance_name: "payments-1",
          instance_id: "7333251546816446069",
        },
      },
      google_service_accounts: ["worker@test-project.iam.gserviceaccount.com"],
    },
    instance: "7333251546816446069",
    level: "nonce",
    spiffeId: "spiffe://example.org/confidential/470652426305/payments",
  },
  "aws-sts": {
    settings: { issuer: awsIssuer },
    claims: {
      iss: awsIssuer,
      aud: boundAudience,
      sub: "arn:aws:iam::123456789012:role/DataProcessingRole",
      iat: nowSeconds - 10,
      exp: nowSeconds + 290,
      jti: "76b8ca21-df5b-4db3-87c4-b96d4749b0d0",
      "https://sts.amazonaws.com/": {
        aws_account: "123456789012",
        source_region: "eu-north-1",
        org_id: "o-abc1234567",
        principal_id: "arn:aws:iam::123456789012:role/DataProcessingRole",
        ec2_source_instance_arn: "arn:aws:ec2:eu-north-1:123456789012:instance/i-0abcd1234ef567890",
      },
    },
    instance: "arn:aws:ec2:eu-north-1:123456789012:instance/i-0abcd1234ef567890",
    level: "nonce",
    spiffeId: "spiffe://example.org/aws/123456789012/data-processing",
  },
  "azure-managed-identity": {
    settings: { tenantId, audience: azureAudience },
    claims: {
      iss: `https://sts.windows.net/${tenantId}/`,
      aud: azureAudience,
      ...times(86_700),
      appid: "8e3a4c55-1d9e-4f5a-8c6f-0e4ad0b3a001",
      idtyp: "app",
      oid: "5f2c8a54-3b1e-4c0f-9d5a-7e6b4c2d1f00",
      sub: "5f2c8a54-3b1e-4c0f-9d5a-7e6b4c2d1f00",
      tid: tenantId,
      uti: "kQx0VqQ8pU6kq7J8JvQeAA",
      ver: "1.0",
      xms_mirid:
        "/subscriptions/1a2b3c4d-0000-4000-8000-000000000001/resourcegroups/pay/providers/Microsoft.Compute/virtualMachines/pay-1",
    },
    instance: undefined,
    level: "bearer",
    spiffeId: "spiffe://example.org/azure/5f2c8a54-3b1e-4c0f-9d5a-7e6b4c2d1f00",
  },
  "terraform-cloud": {
    settings: {},
    claims: {
      iss: "https://app.terraform.io",
      aud: context.audience,
      sub: "organization:my-org-name:project:Default Project:workspace:my-workspace:run_phase:apply",
      ...times(7200),
      jti: "1192426d-b525-4fde-9d61-f238be437bbd",
      terraform_run_phase: "apply",
      terraform_workspace_id: "ws-mbsd5E3Ktt5Rg2Xm",
      terraform_workspace_name: "my-workspace",
      terraform_organization_id: "org-GRNbCjYNpBB6NEBH",
      terraform_organization_name: "my-org-name",
      terraform_project_id: "prj-vegSA59s1XPwMr2t",
      terraform_run_id: "run-X3n1AUXNGWbfECsJ",
      terraform_full_workspace: "organization:my-org-name:project:Default Project:workspace:my-workspace",
    },
    instance: "run-X3n1AUXNGWbfECsJ/apply",
    level: "bearer",
    spiffeId: "spiffe://example.org/terraform/ws-mbsd5E3Ktt5Rg2Xm/apply",
  },
  generic: {
    settings: { issuer: "https://issuer.example", jwksUrl: "https://issuer.example/jwks" },
    claims: { iss: "https://issuer.example", aud: boundAudience, sub: "billing", ...times(300) },
    instance: undefined,
    level: "nonce",
    spiffeId: "spiffe://example.org/workloads/billing",
  },
};
