/** Which server processes there are, and since when each of them shows the revocations of an action. */
import { statement, type Database } from "./database.ts";

// An action whose last revocation is in a published list. What has expired needs no list.
const publish = statement(
  "revocation_publish",
  `update revocation_action a set published_at = coalesce((select max(r.published_at) from revocation r where r.action_id = a.id), a.done_at)
   where a.published_at is null and a.state = 'done' and not exists (
     select from revocation r where r.action_id = a.id and r.published_at is null and r.not_after > now())`,
);

// 1 process · 2 its name · 3 until when what was published is what it shows. Older actions have been seen to, or concern no process that is there.
const beat = statement(
  "server_process_beat",
  `with seen as (
     insert into server_process (id, name, shown_until) values ($1, $2, $3)
     on conflict (id) do update set seen_at = now(), shown_until = excluded.shown_until
   ), gone as (
     delete from server_process where id in (select id from server_process where seen_at < now() - interval '1 minute' for update skip locked)
   )
   insert into revocation_effect (action_id, process_id)
   select a.id, $1 from revocation_action a
   where a.published_at > now() - interval '1 hour' and a.published_at <= $3 and a.created_by = 'operator'
   on conflict do nothing`,
);

const leave = statement("server_process_leave", `delete from server_process where id = $1`);

export interface ServerProcesses {
  /** This process is there, and shows what was published until `shownUntil`. */
  beat(shownUntil: Date): Promise<void>;
  /** It ends. */
  leave(): Promise<void>;
}

/** @param id - hexadecimal, of this process alone */
export function createServerProcesses(db: Database, id: string, name: string): ServerProcesses {
  return {
    async beat(shownUntil) {
      await db.run(publish, []);
      await db.run(beat, [id, name, shownUntil]);
    },
    leave: async () => void (await db.run(leave, [id])),
  };
}
