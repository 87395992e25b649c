/** Every incident that this project has learnt from is in the name of a test, so that none is forgotten when tests are moved. */
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import t from "tap";

/** What stands in a test's name, and what went wrong there. */
const incidents: Readonly<Record<string, string>> = {
  "CVE-2020-16250": "Vault: a presigned request of the attacker's shape was forwarded",
  "CVE-2020-16251": "Vault: the reply to it was read loosely",
  "CVE-2025-11621": "Vault: a cache by role name without the account",
  "CVE-2025-59048": "OpenBao: the same",
  "CVE-2024-5798": "Vault: a mismatch of audiences was accepted",
  "CVE-2026-22772": "Fulcio: an issuer by a pattern without anchors, and requests to it",
  "CVE-2026-49478": "Fulcio: discovery followed redirects to other hosts",
  "CVE-2025-66506": "Fulcio: memory for a token made of dots",
  "CVE-2025-44005": "step-ca: a provisioner that was authorized elsewhere",
  "CVE-2026-30836": "step-ca: message types that nobody handled were not authorized",
  "CVE-2026-40097": "step-ca: an empty sequence was indexed",
  "CVE-2026-39388": "OpenBao: renewal accepted another certificate",
  "CVE-2026-40109": "Flux: signature verified, audience and email not",
  "CVE-2026-49998": "Centrifugo: keys cached by kid alone",
  "CVE-2026-14336": "Eclipse PIA: an issuer by its beginning",
  "sigstore allowed_identities": "SPIRE: a list that was not set allowed every signer",
  "GHSA-7qjx-gp9h-65qj": "Dex: token exchange skipped the list of connectors",
  "SPIRE 1.14.6: claims come from the verified content": "aws_iid: content was read from a field that was not signed",
  "SPIRE 1.15.1": "azure_imds: the chain of one certificate, the signature of another",
  "SPIRE 1.14.6 join-token": "one use, raced",
  "SPIRE 1.14.2 http_challenge": "requests to addresses inside by redirect",
  "SPIRE 1.14.2 x509pop": "work without bounds on chains and keys",
  "#6715": "SPIRE: resumed sessions skipped the verification of the chain",
  "SPIRE 1.12.3": "JWT-SVIDs without exp",
  "#6324": "SPIRE: names of any length",
  "#7066": "SPIRE: names of any length, again",
  "#6960": "azure_imds: verification of signatures, again",
  "#6964": "SPIRE: the CA's state was lost with a write that failed",
};

const folder = path.join(import.meta.dirname, "..");
const names = readdirSync(folder, { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".test.ts"))
  .flatMap((file) => {
    const text = readFileSync(path.join(folder, file), "utf8");
    return [...text.matchAll(/\bt\.test\(\s*(?:"([^"]*)"|`([^`]*)`)/g)].map(
      ([, plain, template]) => plain ?? template ?? "",
    );
  });

t.test("every incident is in the name of a test", async (t) => {
  t.ok(names.length > 500, `${names.length} names`);
  for (const [incident, about] of Object.entries(incidents))
    t.ok(
      names.some((name) => name.includes(incident)),
      `${incident}: ${about}`,
    );
});
