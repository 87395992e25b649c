import t from "tap";
import { createUrls, isId } from "../../src/acme/urls.ts";

const id = "0193aaaa-bbbb-7ccc-8ddd-eeeeeeeeeeee";
const urls = createUrls("https://ca.example:8443");

t.test("URLs are built from the external URL", async (t) => {
  t.equal(urls.directory, "https://ca.example:8443/acme/directory");
  t.equal(urls.requested("/acme/x?y"), "https://ca.example:8443/acme/x?y");
  t.equal(urls.finalize(id), `https://ca.example:8443/acme/order/${id}/finalize`);
  t.equal(urls.challenge(id, "http-01"), `https://ca.example:8443/acme/challenge/${id}/http-01`);
  t.equal(urls.orders(id), `https://ca.example:8443/acme/account/${id}/orders`);
  t.equal(urls.orders(id, id), `https://ca.example:8443/acme/account/${id}/orders?after=${id}`);
});

t.test("R6.2-10 a kid is an account URL of ours to the letter", async (t) => {
  t.equal(urls.accountIdOf(urls.account(id)), id);
  const foreign = [
    "",
    id,
    `${urls.account(id)}/`,
    `${urls.account(id)}?`,
    `${urls.account(id)}\n`,
    `x${urls.account(id)}`,
    urls.order(id),
    urls.account(id.toUpperCase()),
    urls.account(`${id}0`),
    urls.account("1"),
    `https://caXexample:8443/acme/account/${id}`,
    `https://ca.example/acme/account/${id}`,
  ];
  for (const kid of foreign) t.equal(urls.accountIdOf(kid), undefined, kid);
});

t.test("ids in their one text", async (t) => {
  t.ok(isId(id));
  for (const text of ["", id.toUpperCase(), `${id}\n`, `{${id}}`, id.replaceAll("-", ""), `${id} `])
    t.notOk(isId(text), text);
});
