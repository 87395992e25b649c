import t from "tap";
import { readCeremony } from "../../../src/authority/ceremony/read.ts";
import { stepSchemas } from "../../../src/authority/ceremony/steps.ts";
import { readCeremonyFile, writeCeremony } from "../../../src/config/ceremonyFile.ts";

const whole = {
  name: "whole",
  operators: ["Ada"],
  steps: [
    {
      step: "makeRoot",
      keyLabel: "r",
      keyKind: "ec-p384",
      subject: { organization: "O", commonName: "Root" },
      lifetimeDays: 10,
      pathLength: 2,
      nameConstraints: { uri: ["mayfly.test"], dns: ["a.test"], ip: ["10.0.0.0/8"] },
      certificateFile: "root.pem",
    },
    { step: "requestIssuing", line: "default", keyLabel: "i", keyKind: "ml-dsa-65", requestFile: "i.csr" },
    { step: "signIssuing", requestFile: "i.csr", issuerCertificateFile: "root.pem", certificateFile: "i.pem" },
    { step: "importCertificate", certificateFile: "i.pem", rootFile: "root.pem", anySubject: true },
    { step: "activate", line: "other" },
    { step: "requestCross", certificateFile: "root.pem", requestFile: "c.csr" },
    { step: "crossSign", subjectFile: "o.pem", issuerCertificateFile: "root.pem", certificateFile: "c.pem" },
    { step: "offerChain", certificateFile: "c.pem" },
  ],
};

t.test("a ceremony with every step is read, written and read again the same", async (t) => {
  const ceremony = readCeremony(whole, "whole.yaml");
  t.same(ceremony, whole);
  t.same(new Set(ceremony.steps.map(({ step }) => step)), new Set(Object.keys(stepSchemas)));
  t.same(readCeremonyFile(writeCeremony(ceremony), "again.yaml"), whole);
  t.same(readCeremony({ name: "a", steps: [{ step: "activate" }] }, "a.yaml").operators, []);
});

t.test("each fault has its key, its value and what was expected", async (t) => {
  const faults = (changes: object): string => {
    try {
      readCeremony({ name: "a", steps: [{ step: "activate" }], ...changes }, "a.yaml");
      return "";
    } catch (error) {
      return (error as Error).message;
    }
  };
  const step = (written: object): string => faults({ steps: [{ step: "activate" }, written] });
  const root = { step: "makeRoot", certificateFile: "root.pem" };
  t.match(faults({ name: "A b" }), /^a\.yaml: name: "A b": expected /);
  t.match(faults({ steps: [] }), /^a\.yaml: steps: \[\]: expected /);
  t.equal(faults({ stpes: [] }), "a.yaml: stpes: unknown key");
  t.match(step({ step: "destroy" }), /^a\.yaml: steps\[1\]\.step: "destroy": expected one of makeRoot, requestIssuing/);
  t.equal(step({ step: "makeRoot" }), "a.yaml: steps[1].certificateFile: is missing");
  t.equal(step({ ...root, lifeDays: 1 }), "a.yaml: steps[1].lifeDays: unknown key");
  t.match(step({ ...root, lifetimeDays: 0 }), /^a\.yaml: steps\[1\]\.lifetimeDays: 0: expected >= 1/);
  t.match(step({ ...root, keyKind: "ec-p521" }), /^a\.yaml: steps\[1\]\.keyKind: "ec-p521": expected one of ec-p256, /);
  t.match(step({ ...root, subject: { commonName: "" } }), /^a\.yaml: steps\[1\]\.subject\.commonName: "": expected /);
  t.match(step({ ...root, nameConstraints: { email: [] } }), /steps\[1\]\.nameConstraints\.email: unknown key/);
  for (const nothing of [null, 1, "a", []])
    t.throws(() => readCeremony(nothing, "a.yaml"), { name: "CeremonyRefused" });
  t.throws(() => readCeremonyFile("a: [", "a.yaml"), /^a\.yaml: Flow sequence/);
  t.throws(() => readCeremonyFile("name: a\nname: b\n", "a.yaml"), /a\.yaml: Map keys must be unique/);
  t.throws(() => readCeremonyFile("x".repeat(262_145), "a.yaml"), /larger than 262144 characters/);
});
