/** Which server processes there are, and since when each of them shows the revocations of an action. */
import { statement, type Database } from "./database.ts";

/** When an action is looked at: older ones have been seen to, or concern no process that is there. Clients revoke often: a minute of theirs is enough. */
const isRecent = (a: string): string =>
  `${a}.published_at > now() - interval '1 hour' and (${a}.created_by = 'operator' or ${a}.published_at > now() - interval '1 minute')`;

// One statement for all that there is to say and to learn, since every process sends it each second. `published`: actions whose last revocation is in
// a published list; what has expired needs no list. What it publishes and what is shown by it, the rest of it does not see yet.
// 1 process · 2 its name · 3 the actions that it shows
export const beat = statement(
  "server_process_beat",
  `with published as (
     update revocation_action a
     set published_at = coalesce((select max(r.published_at) from revocation r where r.action_id = a.id), a.done_at)
     where a.published_at is null and a.state = 'done' and not exists (
       select from revocation r where r.action_id = a.id and r.published_at is null and r.not_after > now() offset 0)
     returning a.id, a.created_by, a.published_at
   ), seen as (
     insert into server_process (id, name) values ($1, $2) on conflict (id) do update set seen_at = now()
   ), gone as (
     delete from server_process where id in (select id from server_process where seen_at < now() - interval '1 minute' for update skip locked)
   ), shown as (
     insert into revocation_effect (action_id, process_id) select a, $1 from unnest($3::uuid[]) a on conflict do nothing
   )
   select u.id from (
     select a.id, a.published_at from revocation_action a
     where ${isRecent("a")} and not exists (select from revocation_effect e where e.action_id = a.id and e.process_id = $1 offset 0)
     union all
     select p.id, p.published_at from published p where ${isRecent("p")}
   ) u
   where u.id <> all($3::uuid[]) order by u.published_at limit 1000`,
);

const leave = statement("server_process_leave", `delete from server_process where id = $1`);

export interface ServerProcesses {
  /** This process is there, and shows all of these actions. Resolves to those that are published, and that it has not said to show. */
  beat(shown: readonly string[]): Promise<readonly string[]>;
  /** It ends. */
  leave(): Promise<void>;
}

/** @param id - hexadecimal, of this process alone */
export function createServerProcesses(db: Database, id: string, name: string): ServerProcesses {
  return {
    beat: async (shown) => (await db.run<{ id: string }>(beat, [id, name, shown])).map((action) => action.id),
    leave: async () => void (await db.run(leave, [id])),
  };
}
