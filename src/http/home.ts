/** `GET /`: one page for people. Static, without scripts; everything on it can be copied. */

export interface HomeFacts {
  readonly externalUrl: string;
  /** Where certificates say that their revocation is told. */
  readonly revocationUrl: string;
  readonly trustDomain: string;
  /** The roots to trust, with SHA-256 of each certificate in hexadecimal. */
  readonly roots: () => readonly { readonly name: string; readonly fingerprint: string }[];
  readonly development: boolean;
  readonly termsOfService: string | undefined;
  /** Paths of the ACME directories, without `/directory`. */
  readonly directories: readonly string[];
}

const escape = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");

export function homePage(facts: HomeFacts): string {
  const url = escape(facts.externalUrl);
  const revocationUrl = escape(facts.revocationUrl);
  const roots = facts.roots();
  const bytes = (hex: string): string => (hex.toUpperCase().match(/../g) ?? []).join(":");
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Mayfly · ${escape(facts.trustDomain)}</title>
<style>
:root { color-scheme: light dark; --ink: #1d2430; --soft: #5b6676; --paper: #fbfaf7; --line: #d9d5ca; --accent: #14606b; --code: #f1eee6 }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8ec; --soft: #a0a9b8; --paper: #14181f; --line: #333b47; --accent: #7cc4cf; --code: #1d232c } }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.6 system-ui, sans-serif }
main { max-width: 46rem; margin: 0 auto; padding: 3rem 1.25rem 4rem }
h1 { font-size: 1.9rem; margin: 0 } h2 { font-size: 1.15rem; margin: 2.2rem 0 .4rem }
p.lead { color: var(--soft); margin-top: .3rem }
a { color: var(--accent) }
table { border-collapse: collapse; width: 100% } th, td { text-align: left; padding: .45rem .8rem .45rem 0; border-bottom: 1px solid var(--line); vertical-align: top }
th { font-weight: 500; white-space: nowrap; color: var(--soft) } td { overflow-wrap: anywhere }
pre, code { font: .875rem/1.5 ui-monospace, monospace; background: var(--code); border-radius: 4px } code { padding: .1rem .3rem; overflow-wrap: anywhere } pre { padding: .8rem 1rem; overflow-x: auto }
@media (max-width: 34rem) { th, td { display: block; padding-right: 0 } th { border-bottom: 0; padding-bottom: 0 } td { padding-top: 0 } }
.note { border-left: 4px solid #b4532a; padding: .1rem 1rem; margin: 1.5rem 0 }
</style>
</head>
<body>
<main>
<h1>Mayfly</h1>
<p class="lead">The certificate authority of <code>${escape(facts.trustDomain)}</code>. Workloads prove what they are over ACME and get
certificates that live for minutes; every one of them is in the inventory.</p>
${facts.development ? '<div class="note"><p><strong>For development.</strong> This server signs with keys that no hardware protects, or trusts an evidence source whose private key lies on its disk. Do not rely on its certificates.</p></div>' : ""}
<h2>Trust the root</h2>
<p>${roots.map(({ name }) => `<strong>${escape(name)}</strong>`).join(", ")}. Fetch ${roots.length > 1 ? "them, compare their SHA-256 fingerprints" : "it, compare its SHA-256 fingerprint"} with the one that your operator gave you by another way, then hand it to your client.</p>
<pre>curl -k -o root.pem ${url}/root.pem
openssl x509 -in root.pem -noout -fingerprint -sha256</pre>
<p>This server says that ${roots.length > 1 ? "they are" : "it is"} ${roots.map(({ fingerprint }) => `<code>${bytes(fingerprint)}</code>`).join("<br>")}</p>
<h2>Where things are</h2>
<table>
<tr><th>ACME directory</th><td>${facts.directories.map((at) => `<a href="${url}${escape(at)}/directory">${url}${escape(at)}/directory</a>`).join("<br>")}</td></tr>
<tr><th>SPIFFE bundle</th><td><a href="${url}/spiffe/bundle.json">${url}/spiffe/bundle.json</a><br>with roots of ML-DSA: <a href="${url}/spiffe/bundle-post-quantum.json">bundle-post-quantum.json</a></td></tr>
<tr><th>Root certificate</th><td><a href="${url}/root.pem">${url}/root.pem</a><br>with roots of ML-DSA: <a href="${url}/root-post-quantum.pem">root-post-quantum.pem</a></td></tr>
<tr><th>Revocation</th><td>lists below ${revocationUrl}/crl/, OCSP at ${revocationUrl}/ocsp; a certificate names what is for it, if it lives long enough for that</td></tr>
<tr><th>Limits</th><td><a href="${url}/limits">${url}/limits</a></td></tr>
<tr><th>Inventory and administration (REST)</th><td>${url}/api/v1/certificates<br>${["identities", "issuers", "incidents", "external-account-keys", "grants", "quarantines", "instance-pins", "delegations", "revocations", "suspensions", "certificate-lists", "limits", "pauses", "blocked-keys"].map((name) => `${url}/api/v1/${name}`).join("<br>")}<br>with the operator's token: <code>Authorization: Bearer …</code></td></tr>
<tr><th>Health</th><td><a href="${url}/healthz">healthz</a> · <a href="${url}/readyz">readyz</a> · <a href="${url}/metrics">metrics</a></td></tr>
</table>
${facts.termsOfService === undefined ? "" : terms(escape(facts.termsOfService))}</main>
</body>
</html>
`;
}

/** Where `instance` of userActionRequired leads (RFC 8555 §7.3.3). */
const terms = (url: string): string => `<h2 id="terms-of-service">Terms of service</h2>
<p>Read <a href="${url}">${url}</a>. An account agrees when its client registers with <code>termsOfServiceAgreed</code>. After a
change of the terms, let the client register once more with the key that it has: that agrees for the account that is there, and
changes nothing else. Until then the account orders nothing, renewals included. Certificates and everything ordered before stay as they are.</p>
<ul>
<li>lego: remove <code>accounts/…/account.json</code> below its <code>--path</code>, not the key beside it, and run it with <code>-a</code>.</li>
<li>certbot has no command for it: <code>certbot unregister</code>, then <code>certbot certonly … --agree-tos --force-renewal</code> for each certificate, with a new account.</li>
<li>Other clients: a newAccount request with the key of the account and <code>"termsOfServiceAgreed": true</code>.</li>
</ul>
`;
