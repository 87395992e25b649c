/** `GET /limits`: where a refusal with the type `rateLimited` points to (RFC 8555 §6.6). For people; static, without scripts. */

/** What is allowed, a line for each limit, in plain text. */
export type LimitSentences = readonly string[];

const escape = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");

export function limitsPage(sentences: LimitSentences): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Mayfly · limits</title>
<style>
:root { color-scheme: light dark }
body { margin: 0; font: 16px/1.6 system-ui, sans-serif }
main { max-width: 46rem; margin: 0 auto; padding: 3rem 1.25rem 4rem }
</style>
</head>
<body>
<main>
<h1>Limits</h1>
<p>A request over one of these gets status 429 and the type <code>rateLimited</code>; <code>Retry-After</code> tells when to come back, in
seconds. Nothing was made or changed by it.</p>
<ul>
${sentences.map((sentence) => `<li>${escape(sentence)}</li>`).join("\n")}
</ul>
<p>An identifier that failed too often in a row is paused for its account. Mend what made it fail; then prove it by a pre-authorization
(newAuthz, RFC 8555 §7.4.1), or ask the operator of this server to resume it. The operator can reset the rates
as well.</p>
<p>Orders that wait for authorizations are counted as they are, so nobody can reset them: one is no longer counted when it is ready, is invalid or
expires. Prove its names, deactivate an authorization of an order that is not wanted, or wait until it expires.</p>
<p>Status 503 says that the server has too much to do, whoever asks. <code>Retry-After</code> counts there too.</p>
<p><a href="/">About this server</a></p>
</main>
</body>
</html>
`;
}
