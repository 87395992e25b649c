/**
 * To which accounts a running instance belongs (workload-attest-01, server rule 4). One row for each instance: its lock settles who is
 * first, and a constraint refuses whoever is one too many, together with everything else that the statement did. It belongs to the account
 * and not to its key: an account that changes keys keeps its instances, and whoever has the old key has none of them.
 */
import type { EvidenceUses } from "../acme/ports.ts";

/** What is violated by an account too many, or by an instance that is shown a second time where once is all. */
export const pinConstraint = "instance_pin_taken";

/** Accounts that are kept where any number is let through; the newest ones. */
const accountsKept = 16;
const secondsDefault = 604_800;

/**
 * CTEs of a statement that attests: `attested` is the one that has a row when it does, `first` the number of the first of the parameters
 * `pinValues`.
 */
export const pinInstances = (attested: string, first: number): string => `pinned as (
     insert into instance_pin as p (source, instance, accounts, most, once, expires_at)
     select i.source, i.instance, array[${attested}.account_id], i.most, i.once,
            case when i.once then 'infinity' else now() + make_interval(secs => i.seconds) end
     from ${attested}, unnest($${first}::text[], $${first + 1}::text[], $${first + 2}::integer[], $${first + 3}::boolean[], $${first + 4}::integer[])
       as i(source, instance, most, once, seconds)
     on conflict (source, instance) do update set
       accounts = case
         when p.expires_at <= now() then excluded.accounts
         when p.accounts @> excluded.accounts then p.accounts
         when excluded.most = 0 then (excluded.accounts || p.accounts)[1:${accountsKept}]
         else excluded.accounts || p.accounts end,
       shared_at = case when p.expires_at > now() and not p.accounts @> excluded.accounts then now() end,
       shown = case when p.expires_at <= now() then 1 else p.shown + 1 end,
       most = excluded.most, once = excluded.once, last_seen_at = now(), expires_at = greatest(p.expires_at, excluded.expires_at)
     returning source, instance, cardinality(accounts) as accounts, shared_at
   ), shared_audit as (
     insert into audit_entry (event, actor, subject, detail)
     select 'instance.shared', 'account:' || ${attested}.account_id, 'instance:' || source, jsonb_build_object('instance', instance, 'accounts', accounts)
     from pinned, ${attested} where shared_at = now()
   ), shared_event as (
     insert into outbox (topic, payload)
     select 'instance.shared', jsonb_build_object('source', source, 'instance', instance, 'accounts', accounts, 'account', ${attested}.account_id)
     from pinned, ${attested} where shared_at = now()
   )`;

/** The parameters of `pinInstances`. In one order whoever asks, so that two statements with the same instances wait for each other. */
export function pinValues({ instances }: EvidenceUses): unknown[] {
  const sorted = [...instances].sort((a, b) => (a.source < b.source ? -1 : 1));
  return [
    sorted.map(({ source }) => source),
    sorted.map(({ instance }) => instance),
    sorted.map(({ pinning: { mode, accounts } }) => (mode === "alert" ? 0 : (accounts ?? 1))),
    sorted.map(({ pinning }) => pinning.mode === "once"),
    sorted.map(({ pinning: { seconds = secondsDefault } }) => seconds),
  ];
}

/** The parameters that mark evidence as used: ids, sources, until when. In one order, for the same reason. */
export function usedValues({ evidence }: EvidenceUses): unknown[] {
  const pieces = [...evidence].sort((a, b) => a.oneTimeId.compare(b.oneTimeId));
  return [
    pieces.map(({ oneTimeId }) => oneTimeId),
    pieces.map(({ source }) => source),
    pieces.map(({ replayUntil }) => replayUntil),
  ];
}
