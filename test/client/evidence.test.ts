import t from "tap";
import { type Accept, chooseSources, type Known } from "../../src/client/evidence.ts";

const dev: Accept = { format: "jwt", ref: "dev", minBinding: "nonce" };
const github: Accept = { format: "jwt", ref: "github", minBinding: "nonce" };
const east: Accept = { format: "k8s", ref: "east", minBinding: "bearer" };

/** The source of the only piece. */
const chooseSource = (accept: readonly Accept[], known: Known): object | undefined => chooseSources(accept, [known])[0];

t.test("the one source that fits", async (t) => {
  t.equal(chooseSource([dev], {}), dev);
  t.equal(chooseSource([dev, east], { format: "jwt" }), dev);
  t.equal(chooseSource([dev, github, east], { ref: "github" }), github);
  t.equal(chooseSource([dev, github, east], { format: "k8s", ref: "east" }), east);
});

t.test("none, or more than one: the sources are named", async (t) => {
  t.throws(() => chooseSource([dev, github, east], { format: "jwt" }), {
    code: "evidence",
    message: "several sources accept jwt: jwt:dev, jwt:github; say which one is meant",
  });
  t.throws(() => chooseSource([dev, east], {}), { message: /^several sources accept any format: jwt:dev, k8s:east;/ });
  t.throws(() => chooseSource([east], { format: "jwt", ref: "dev" }), {
    code: "evidence",
    message: "the server does not accept jwt:dev for this identity; it accepts k8s:east",
  });
  t.throws(() => chooseSource([], { format: "jwt" }), { message: /it accepts no evidence at all$/ });
});

const tpm = { format: "tpm", ref: "machines", minBinding: "nonce" };
const together: Accept = { ...east, with: [tpm] };

t.test("several pieces: a source for each, whatever the order in which they are given", async (t) => {
  t.same(chooseSources([together], [{ format: "k8s" }, { format: "tpm" }]), [together, tpm]);
  t.same(chooseSources([together], [{ format: "tpm" }, { ref: "east" }]), [tpm, together]);
  t.same(chooseSources([dev, together], [{ format: "jwt" }]), [dev], "one piece where one is enough");
  t.same(chooseSources([dev, together], [{}, { format: "tpm" }]), [together, tpm]);
});

t.test("pieces that are missing, too many, or fit in more than one way are named", async (t) => {
  t.throws(() => chooseSources([together], [{ format: "k8s" }]), {
    message: "the server does not accept k8s for this identity; it accepts k8s:east together with tpm:machines",
  });
  t.throws(() => chooseSources([dev], [{ format: "jwt" }, { format: "tpm" }]), {
    message: "the server does not accept jwt together with tpm for this identity; it accepts jwt:dev",
  });
  t.throws(() => chooseSources([together], [{}, {}]), {
    message: /^several sources accept any format together with any format: /,
  });
  t.throws(() => chooseSources([together], [{ format: "tpm" }, { format: "tpm" }]), {
    message: /does not accept tpm together with tpm/,
  });
});
