/** `mayfly limits list`: the rate limits of a server process, and who is over one. */
import { type CommandContext, defineCommand } from "./command.ts";
import { restOptions, tableOf, withRest } from "./rest.ts";

const options = { ...restOptions } as const;

export const command = defineCommand({
  name: "limits list",
  summary: "show the rate limits, and who is over one",
  usage: "[OPTION …]",
  description:
    "Prints each rate limit of the server process that answers, how many it refused since its start, and the keys that are over it now: addresses, account ids, identities.",
  options,
  examples: [{ does: "of the server on this machine", command: "mayfly limits list" }],
  run: list,
});

interface Limit {
  readonly limit: string;
  readonly enabled: boolean;
  readonly count?: number;
  readonly periodSeconds?: number;
  readonly burst?: number;
  readonly buckets: number;
  readonly refused: number;
  readonly exceeded: readonly { readonly key: string; readonly retryAfterSeconds: number }[];
}

async function list(context: CommandContext<typeof options>): Promise<void> {
  const { values, stdout } = context;
  const answer = await withRest(context, (rest) => rest.get("/limits"));
  if (values.json) {
    stdout.write(`${JSON.stringify(answer)}\n`);
    return;
  }
  const limits = answer["limits"] as readonly Limit[];
  stdout.write(tableOf(["LIMIT", "RATE", "BURST", "IN USE", "REFUSED"], limits.map(row)));
  const over = limits.flatMap(({ limit, exceeded }) => exceeded.map((one) => ({ limit, ...one })));
  if (over.length === 0) return;
  const rows = over.map(({ limit, key, retryAfterSeconds }) => [limit, key, `${retryAfterSeconds} s`]);
  stdout.write(`\n${tableOf(["OVER", "KEY", "FOR"], rows)}`);
}

const row = ({ limit, enabled, count, periodSeconds, burst, buckets, refused }: Limit): string[] => [
  limit,
  enabled ? `${count} in ${periodSeconds} s` : "off",
  enabled ? String(burst) : "",
  String(buckets),
  String(refused),
];
