import t from "tap";
import { type Accept, chooseSource } from "../../src/client/evidence.ts";

const dev: Accept = { format: "jwt", ref: "dev", minBinding: "nonce" };
const github: Accept = { format: "jwt", ref: "github", minBinding: "nonce" };
const east: Accept = { format: "k8s", ref: "east", minBinding: "bearer" };

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
