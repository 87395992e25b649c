import t from "tap";
import { AcmeProblem } from "../../src/client/errors.ts";

const acme = "urn:ietf:params:acme:error:";
const finer = "urn:mayfly:workload-attest:error:";

t.test("a finer reason with the words of the whole adds its name alone", async (t) => {
  const subproblems = [{ type: `${finer}evidenceExpired`, detail: "The token has expired" }];
  const problem = { type: `${acme}badAttestationStatement`, status: 400, detail: "The token has expired", subproblems };
  t.equal(
    new AcmeProblem("the evidence", problem).message,
    "the server refused the evidence: The token has expired (badAttestationStatement, evidenceExpired)",
  );
  t.equal(
    new AcmeProblem("the evidence", { ...problem, detail: "The evidence was refused" }).message,
    "the server refused the evidence: The evidence was refused (badAttestationStatement); evidenceExpired: The token has expired",
  );
});

t.test("an error that is its own finer reason is named once", async (t) => {
  const type = `${acme}rejectedIdentifier`;
  const problem = { type, status: 400, detail: "nobody may", subproblems: [{ type, detail: "nobody may" }] };
  t.equal(
    new AcmeProblem("the order", problem).message,
    "the server refused the order: nobody may (rejectedIdentifier)",
  );
});

t.test("a server that cannot decide now has refused nothing", async (t) => {
  const problem = { type: `${acme}serverInternal`, status: 503, detail: "a source is away", subproblems: [] };
  t.equal(
    new AcmeProblem("the evidence", problem).message,
    "the server cannot take the evidence now: a source is away (serverInternal)",
  );
});
