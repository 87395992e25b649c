/** Roots that have a list, by where their keys are. */
import t from "tap";

import type { Issuers } from "../../src/authority/issuer.ts";
import { openIssuers } from "../../src/authority/issuers.ts";
import type { StoredIssuer } from "../../src/authority/ports.ts";
import { KeyUnavailable, type KeyProvider } from "../../src/keys/signer.ts";
import { memoryHierarchy, trustDomain } from "../support/issuers.ts";

const now = new Date("2026-01-01T00:00:00Z");

t.test(
  "a root whose key is here has a list; one whose key is elsewhere has none, and takes nothing with it",
  async (t) => {
    const { keys, store, issuers, issuing } = await memoryHierarchy(now);
    const [root] = issuers.roots();
    const id = root?.id ?? "";
    const change = (changed: Partial<StoredIssuer>): void => {
      const at = store.issuers.findIndex((one) => one.id === id);
      store.issuers[at] = { ...store.issuers[at], ...changed } as StoredIssuer;
    };
    const lists = (of: Issuers) => of.listIssuers().map((one) => [one.certifies, one.crlShards, one.listUrl(0)]);
    const own = ["UserCerts", 16, `https://ca.test/crl/${issuing.id}/0.crl`];
    t.same(lists(issuers), [own, ["CACerts", 1, `https://ca.test/crl/${id}/0.crl`]]);
    t.equal(issuers.all().length, 1, "it issues no leaves");
    t.equal(issuers.byId(id), undefined);

    const unusable: string[] = [];
    const options = { store, trustDomain, publicUrl: "https://ca.test", now: () => now };
    const open = (find: KeyProvider["find"]) =>
      openIssuers({ ...options, keys: { ...keys, find }, onUnusable: (_, reason) => unusable.push(reason) });
    const isRoots = ({ spki }: Parameters<KeyProvider["find"]>[0]): boolean =>
      keys.signers.get("issuing-root")?.spki.equals(spki ?? Buffer.alloc(0)) === true;
    const without = await open(async (wanted) => (isRoots(wanted) ? undefined : keys.find(wanted)));
    await without.reread();
    t.same(lists(without), [own]);
    t.equal(without.active("default").id, issuing.id);
    t.match(unusable, [/^the key of the root \(label issuing-root\) is not among the keys in memory: no list is made/]);
    t.equal(unusable.length, 1, "said once");

    let isAway = true;
    const away = await open(async (wanted) => {
      if (isAway && isRoots(wanted)) throw new KeyUnavailable("the token is away");
      return await keys.find(wanted);
    });
    t.same(lists(away), [own]);
    isAway = false;
    await away.reread();
    t.equal(away.listIssuers().length, 2, "once its token is back, it has");

    change({ keyLabel: null });
    unusable.length = 0;
    t.same(lists(await open(async (wanted) => keys.find(wanted))), [own]);
    t.same(unusable, [], "of a root that was never here nothing is expected");
    change({ keyLabel: "issuing-root", state: "retired" });
    await issuers.reread();
    t.same(lists(issuers), [own]);
  },
);
