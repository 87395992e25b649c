/** RFC 8555 §7.1.2.1: the list of orders under load. */
import t from "tap";
import { acmeDriver, dns, type Reply } from "../../support/acmeDriver.ts";
import { certificateAuthority } from "../../support/certificateAuthority.ts";

t.test(
  "R7.1.2.1-1 orders that are made while the list is read: none twice, and none of the earlier ones lost",
  async (t) => {
    const ca = await certificateAuthority(t, { configuration: { acme: { ordersPerPage: 5 } } });
    const alice = await (await acmeDriver(t, ca)).account();
    const make = async (count: number): Promise<string[]> =>
      (await Promise.all(Array.from({ length: count }, () => alice.newOrder(dns("a.localhost"))))).map(
        ({ url }) => url,
      );
    const nextOf = ({ headers }: Reply): string | undefined =>
      /<([^>]+)>;rel="next"/.exec([headers.link].flat().join())?.[1];

    const earlier = await make(23);
    for (let round = 0; round < 3; round++) {
      const listed: string[] = [];
      const later: Promise<string[]>[] = [];
      for (let url: string | undefined = `${alice.account}/orders`; url !== undefined;) {
        later.push(make(2));
        const reply = await alice.postAsGet(url);
        t.equal(reply.status, 200);
        const page = reply.json()["orders"] as string[];
        t.ok(page.length <= 5);
        listed.push(...page);
        url = listed.length > 400 ? undefined : nextOf(reply);
        if (later.length > 20) break; // It would be read as fast as it grows.
      }
      const made = (await Promise.all(later)).flat();
      t.equal(new Set(listed).size, listed.length, "none twice");
      t.same(
        earlier.filter((url) => !listed.includes(url)),
        [],
        "none lost that was there before",
      );
      t.same(
        listed.filter((url) => !earlier.includes(url) && !made.includes(url)),
        [],
        "and none that was never made",
      );
      earlier.push(...made);
    }
  },
);
