/** Which issuer of a line comes after which. */
import t from "tap";
import type { StoredIssuer } from "../../../src/authority/ports.ts";
import { activeOf, nextOf } from "../../../src/authority/rotation/succession.ts";

const line = { kind: "issuing", name: "default" } as const;
const issuer = (generation: number, state: StoredIssuer["state"], name = "default"): StoredIssuer =>
  ({ id: `${name}-${generation}`, kind: "issuing", name, generation, state }) as StoredIssuer;

t.test(
  "the newest that is prepared or published follows the active one; what is older than that was passed over",
  async (t) => {
    const passed = [issuer(1, "retired"), issuer(2, "prepared"), issuer(3, "active"), issuer(9, "published", "other")];
    t.equal(activeOf(line, passed)?.id, "default-3");
    t.equal(nextOf(line, passed), undefined);
    const followed = [...passed, issuer(5, "prepared"), issuer(4, "published")];
    t.equal(nextOf(line, followed)?.id, "default-5");
    t.equal(nextOf({ ...line, name: "other" }, followed)?.id, "other-9", "where none is active");
  },
);
