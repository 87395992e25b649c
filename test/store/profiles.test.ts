import t from "tap";
import { profileJson } from "../../src/authority/profile.ts";
import { createProfileStore } from "../../src/store/profiles.ts";
import { migratedDatabase } from "../support/database.ts";
import { serverProfile, sha256, workloadProfile } from "../support/issuers.ts";

t.test("profiles are kept by their hash, once", async (t) => {
  const store = createProfileStore(await migratedDatabase(t));
  const profiles = [serverProfile(), workloadProfile(), workloadProfile({ keyReuse: "never" })];
  const known = profiles.map((profile) => ({ hash: profile.hash, name: profile.name, json: profileJson(profile) }));
  await store.remember(known);
  const [first] = profiles;
  if (first === undefined) return;
  const before = await store.readProfile(first.hash);
  await store.remember(known);
  t.same(await store.readProfile(first.hash), before, "the first time counts");
  for (const profile of profiles) {
    const record = await store.readProfile(profile.hash);
    t.match(record, { name: profile.name, configuration: { keyReuse: profile.keyReuse, revocation: { crl: true } } });
    t.ok(sha256(profileJson(profile)).equals(profile.hash), "it is the hash of the JSON");
  }
  t.equal(await store.readProfile(Buffer.alloc(32)), undefined);
});
