import { X509Certificate } from "node:crypto";
import t from "tap";
import { pemDecode, pemEncode } from "../../src/x509/pem.ts";
import { opensslCertificate } from "./vectors.ts";

t.test("what is encoded is what Node reads, and comes back", (t) => {
  const pem = pemEncode("CERTIFICATE", opensslCertificate);
  t.ok(new X509Certificate(pem).raw.equals(opensslCertificate));
  t.equal(pem, new X509Certificate(opensslCertificate).toString(), "and what OpenSSL writes");
  t.ok(pemDecode(pem, "CERTIFICATE")[0]?.equals(opensslCertificate));
  t.end();
});

t.test("lines of every length", (t) => {
  for (const size of [1, 2, 3, 47, 48, 49, 95, 96, 97]) {
    const bytes = Buffer.alloc(size, 0xfb);
    const pem = pemEncode("X", bytes);
    t.ok(
      pem.split("\n").every((line) => line.length <= 64),
      "64 columns",
    );
    t.notMatch(pem, /\n\n/, "no blank line");
    t.ok(pemDecode(pem, "X")[0]?.equals(bytes), String(size));
  }
  t.end();
});

t.test("several blocks, CRLF and blank lines around them", (t) => {
  const [one, two] = [Buffer.from("one"), Buffer.from("two")];
  t.strictSame(pemDecode(pemEncode("X", one) + pemEncode("X", two), "X"), [one, two]);
  t.strictSame(pemDecode(`\n${pemEncode("X", one)}\n\n${pemEncode("X", two)}\n`.replaceAll("\n", "\r\n"), "X"), [
    one,
    two,
  ]);
  t.end();
});

t.test("anything else is refused", (t) => {
  const begin = "-----BEGIN X-----\n";
  const end = "-----END X-----\n";
  const full = "A".repeat(64);
  const illegal: readonly [string, string][] = [
    ["nothing", ""],
    ["another label", pemEncode("Y", Buffer.from("a"))],
    ["an end of another label", `${begin}QQ==\n-----END Y-----\n`],
    ["text before", `a\n${begin}QQ==\n${end}`],
    ["text after", `${begin}QQ==\n${end}a`],
    ["no end", `${begin}QQ==\n`],
    ["no end of the second block", `${begin}QQ==\n${end}${begin}QQ==\n`],
    ["an empty block", begin + end],
    ["a header", `${begin}Proc-Type: 4,ENCRYPTED\n\nQQ==\n${end}`],
    ["a blank line inside", `${begin}${full}\n\nQQ==\n${end}`],
    ["a short line before the last", `${begin}QUFB\nQQ==\n${end}`],
    ["a line of 76", `${begin}${"A".repeat(76)}\n${end}`],
    ["missing padding", `${begin}QQ\n${end}`],
    ["stray bits", `${begin}QR==\n${end}`],
    ["base64url", `${begin}-_-_\n${end}`],
    ["a space at the end of a line", `${begin}QQ== \n${end}`],
    ["padding in the middle", `${begin}QQ==QUFB\n${end}`],
    ["an indented begin", ` ${begin}QQ==\n${end}`],
  ];
  for (const [name, text] of illegal) t.throws(() => pemDecode(text, "X"), { name: "PemError" }, name);
  t.end();
});
