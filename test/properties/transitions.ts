/**
 * Every change of state that the database sees, written down by the database itself: triggers on the tables of a test, so that no order of
 * replies and no restraint of ours can hide one. What is allowed is written out here from RFC 8555 §7.1.6 and not taken from the source.
 */
import pg from "pg";

type Arrows = Readonly<Record<string, readonly string[]>>;

/** RFC 8555 §7.1.6, the figures. An insertion comes from "". */
const allowed: Readonly<Record<string, Arrows>> = {
  account: { "": ["valid"], valid: ["deactivated", "revoked"] },
  order: {
    // Ready at once where everything was proved before.
    "": ["pending", "ready"],
    pending: ["ready", "invalid"],
    ready: ["processing", "invalid"],
    processing: ["valid", "invalid"],
  },
  authorization: {
    "": ["pending"],
    pending: ["valid", "invalid", "deactivated"],
    valid: ["expired", "deactivated", "revoked"],
  },
  challenge: {
    "": ["pending"],
    // In one step where the proof is in the response itself.
    pending: ["processing", "valid", "invalid"],
    processing: ["valid", "invalid"],
  },
};

const install = `
  create table observed (
    n bigint generated always as identity primary key, kind text not null, id text not null, before text not null, after text not null,
    at timestamptz not null default clock_timestamp()
  );
  create function observe() returns trigger language plpgsql as $$
  declare kind text := tg_argv[0]; before text := ''; challenge jsonb; earlier text;
  begin
    if tg_op = 'UPDATE' then before := old.status; end if;
    if before <> new.status then
      insert into observed (kind, id, before, after) values (kind, new.id::text, before, new.status);
    end if;
    if kind = 'authorization' then
      for challenge in select * from jsonb_array_elements(to_jsonb(new) -> 'challenges') loop
        earlier := '';
        if tg_op = 'UPDATE' then
          select one ->> 'status' into earlier from jsonb_array_elements(to_jsonb(old) -> 'challenges') one
          where one ->> 'type' = challenge ->> 'type';
        end if;
        if earlier is distinct from challenge ->> 'status' then
          insert into observed (kind, id, before, after)
          values ('challenge', new.id::text || ' ' || (challenge ->> 'type'), coalesce(earlier, ''), challenge ->> 'status');
        end if;
      end loop;
    end if;
    return new;
  end $$;
  create trigger observe after insert or update on account for each row execute function observe('account');
  create trigger observe after insert or update on acme_order for each row execute function observe('order');
  create trigger observe after insert or update on acme_authorization for each row execute function observe('authorization');`;

export interface Transitions {
  readonly client: pg.Client;
  /** What was seen since the last call and must not be; how much was seen. */
  forbidden(): Promise<{ forbidden: string[]; seen: Map<string, number> }>;
  close(): Promise<void>;
}

/** Installs the triggers in a migrated database. */
export async function watchTransitions(databaseUrl: string): Promise<Transitions> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  await client.query(install);
  let last = 0;
  return {
    client,
    async forbidden() {
      const { rows } = await client.query<{ n: string; kind: string; id: string; before: string; after: string }>(
        "select * from observed where n > $1 order by n",
        [last],
      );
      last = Number(rows.at(-1)?.n ?? last);
      const seen = new Map<string, number>();
      const forbidden: string[] = [];
      for (const { kind, id, before, after } of rows) {
        const arrow = `${kind} ${before || "(new)"} → ${after}`;
        seen.set(arrow, (seen.get(arrow) ?? 0) + 1);
        if (allowed[kind]?.[before]?.includes(after) !== true) forbidden.push(`${arrow}: ${id}`);
      }
      return { forbidden, seen };
    },
    close: () => client.end(),
  };
}
