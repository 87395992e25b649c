import t from "tap";
import { validators } from "../../../src/acme/challenges/validators.ts";

t.test("there is a validator for each type", (t) => {
  t.same(Object.keys(validators), ["http-01", "dns-01", "tls-alpn-01", "dns-account-01", "dns-persist-01"]);
  t.end();
});
