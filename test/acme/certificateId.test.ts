import t from "tap";
import { readCertificateId, writeCertificateId } from "../../src/acme/certificateId.ts";

const example = "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE";

t.test("R9773-1 the id of RFC 9773 §4.1, both ways: the serial number keeps DER's leading zero octet", async (t) => {
  const id = readCertificateId(example);
  t.equal(id?.keyIdentifier.toString("hex"), "69885b6b87464041e1b37b847ba0ae2cde01c8d4");
  t.equal(id?.serialNumber.toString("hex"), "0087654321");
  t.equal(id && writeCertificateId(id), example);
});

t.test("R9773-3 anything but the one form of an id is none", async (t) => {
  const [key, serial] = example.split(".") as [string, string];
  for (const text of [
    "",
    ".",
    key,
    `${key}.`,
    `.${serial}`,
    `${key}..${serial}`,
    `${example}.AA`,
    `${example}=`,
    `${key}=.${serial}`,
    `${key}.AIdlQyF`, // Stray bits at the end.
    `${key}.h2VDIQ`, // The same number without its sign octet is negative.
    `${key}.AABdlQ`, // A zero octet that DER would not write.
    `${key}.AA`, // Zero.
    `${key}.${Buffer.alloc(21, 1).toString("base64url")}`,
    `${Buffer.alloc(65, 1).toString("base64url")}.${serial}`,
    `${key}.AIdl+yE`,
    `${key} .${serial}`,
    `${example}\n`,
  ])
    t.equal(readCertificateId(text), undefined, JSON.stringify(text));
});
