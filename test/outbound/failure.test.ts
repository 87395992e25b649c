import t from "tap";
import { OutboundFailure, quoted } from "../../src/outbound/failure.ts";

t.test("quoted shows only harmless characters of foreign text", (t) => {
  const cases: [foreign: string | Uint8Array, shown: string][] = [
    ["plain text, 100 %", '"plain text, 100 %"'],
    ["line\r\nbreak\0", '"line??break?"'],
    ["\x1b[31mred\x1b[0m\x9b1m", '"?[31mred?[0m?1m"'],
    ['<script>alert("&")</script>', '"?script?alert(???)?/script?"'],
    ["\u202egnp.exe \u200b\u2028", '"?gnp.exe ??"'],
    ["back\\slash `tick` it's", '"back?slash ?tick? it?s"'],
    [Buffer.from([0x61, 0xff, 0xfe, 0x62]), '"a??b"'],
    [new Uint8Array(), '""'],
  ];
  for (const [foreign, shown] of cases) t.equal(quoted(foreign), shown);
  t.equal(quoted("x".repeat(1_000_000), 10), `"${"x".repeat(10)}..."`, "text is cut");
  t.equal(quoted(Buffer.alloc(1_000_000, 0xff), 10), `"${"?".repeat(10)}..."`, "so are bytes");
  t.end();
});

t.test("a failure's detail is printable and short", (t) => {
  const { message } = new OutboundFailure("dns", `\x1b[1m${"é".repeat(1000)}`);
  t.match(message, /^[\x20-\x7e]{300}$/);
  t.end();
});
