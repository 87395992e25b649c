import t from "tap";
import { berToDer } from "../../src/x509/ber.ts";
import { DerError, readDer } from "../../src/x509/der.ts";
import { opensslCertificate, opensslCsr } from "./vectors.ts";

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(" ", ""), "hex");
const der = (text: string): string => berToDer(hex(text), 1000).toString("hex");

t.test("what is DER comes out as it went in", async (t) => {
  for (const bytes of [opensslCertificate, opensslCsr]) t.ok(berToDer(bytes, 4096).equals(bytes));
});

t.test("each freedom of BER that signers use has one DER form", async (t) => {
  for (const [what, ber, expected] of [
    ["indefinite length", "30 80 02 01 05 00 00", "3003020105"],
    ["indefinite lengths in each other", "30 80 a0 80 02 01 05 00 00 00 00", "3005a003020105"],
    ["an empty one", "30 80 00 00", "3000"],
    ["a needlessly long length", "30 83 00 00 04 02 81 01 05", "3003020105"],
    ["an OCTET STRING in pieces", "24 80 04 01 61 04 02 62 63 00 00", "0403616263"],
    ["of definite length", "24 07 04 01 61 04 02 62 63", "0403616263"],
    ["with pieces in pieces", "24 80 24 80 04 01 61 00 00 04 01 62 00 00", "04026162"],
    ["with no piece", "24 80 00 00", "0400"],
    ["a set in another order", "31 06 02 01 07 02 01 05", "3106020105020107"],
  ] as const) {
    t.equal(der(ber), expected, what);
    t.doesNotThrow(() => readDer(hex(expected)), `${what}: and is DER`);
  }
  t.equal(berToDer(hex(`24 80 ${`0482 0100 ${"61".repeat(256)}`.repeat(3)} 0000`), 1000).length, 4 + 768);
});

t.test("what is no BER, or more than a signer needs, is refused", async (t) => {
  const deep = (levels: number): Buffer =>
    Buffer.concat([Buffer.from("3080".repeat(levels), "hex"), Buffer.alloc(2 * levels)]);
  t.doesNotThrow(() => berToDer(deep(18), 1000));
  for (const [what, input] of [
    ["nothing", hex("")],
    ["a tag alone", hex("30")],
    ["two elements", hex("0500 0500")],
    ["no end-of-contents", hex("3080 020105")],
    ["half an end-of-contents", hex("3080 020105 00")],
    ["an end-of-contents too many", hex("3080 0000 0000")],
    ["an end-of-contents in a definite length", hex("3002 0000")],
    ["an end-of-contents with content", hex("3080 000105 0000")],
    ["a primitive of indefinite length", hex("0480 61 0000")],
    ["longer than its parent", hex("3003 020205")],
    ["a length of five octets", hex("30 85 0000000003 020105")],
    ["a length cut short", hex("30 84 0000")],
    ["a reserved length", hex("30 ff")],
    ["a long tag", hex("3f 81 01 00")],
    ["a piece that is no OCTET STRING", hex("2480 020105 0000")],
    ["too deep", deep(19)],
    ["far too deep", deep(400)],
  ] as const) {
    t.throws(() => berToDer(input, 1000), DerError, what);
  }
  t.throws(() => berToDer(opensslCertificate, opensslCertificate.length - 1), { message: /larger than \d+ bytes/ });
});

t.test("a gigabyte that is only stated costs nothing", async (t) => {
  t.throws(() => berToDer(hex("30 84 40000000 00"), 1000), { message: /longer than what holds it/ });
});
