/** Which server processes there are, and since when each of them shows the revocations of an action. */
import { statement, type Database } from "./database.ts";

// An action whose last revocation is in a published list. What has expired needs no list.
const publish = statement(
  "revocation_publish",
  `update revocation_action a set published_at = coalesce((select max(r.published_at) from revocation r where r.action_id = a.id), a.done_at)
   where a.published_at is null and a.state = 'done' and not exists (
     select from revocation r where r.action_id = a.id and r.published_at is null and r.not_after > now())`,
);

// 1 process · 2 its name · 3 the actions that it shows
const beat = statement(
  "server_process_beat",
  `with seen as (
     insert into server_process (id, name) values ($1, $2) on conflict (id) do update set seen_at = now()
   ), gone as (
     delete from server_process where id in (select id from server_process where seen_at < now() - interval '1 minute' for update skip locked)
   )
   insert into revocation_effect (action_id, process_id) select a, $1 from unnest($3::uuid[]) a on conflict do nothing`,
);

// Older ones have been seen to, or concern no process that is there. Clients revoke often, and a minute of it is enough to be looked
// through each second; so is what one beat writes.
const unshown = statement(
  "revocation_unshown",
  `select a.id from revocation_action a
   where a.published_at > now() - interval '1 hour' and (a.created_by = 'operator' or a.published_at > now() - interval '1 minute')
     and not exists (select from revocation_effect e where e.action_id = a.id and e.process_id = $1)
   order by a.published_at limit 1000`,
);

const leave = statement("server_process_leave", `delete from server_process where id = $1`);

export interface ServerProcesses {
  /** This process is there, and shows all of these actions. */
  beat(shown: readonly string[]): Promise<void>;
  /** Actions that are published, and that this process has not said to show. */
  unshown(): Promise<readonly string[]>;
  /** It ends. */
  leave(): Promise<void>;
}

/** @param id - hexadecimal, of this process alone */
export function createServerProcesses(db: Database, id: string, name: string): ServerProcesses {
  return {
    async beat(shown) {
      await db.run(publish, []);
      await db.run(beat, [id, name, shown]);
    },
    unshown: async () => (await db.run<{ id: string }>(unshown, [id])).map((action) => action.id),
    leave: async () => void (await db.run(leave, [id])),
  };
}
