/**
 * What a command is, and how a command line becomes one. One file per command; nothing here knows any of them.
 *
 * Exit status: 0 done · 1 the command could not do it · 2 the command line is wrong.
 */
import { parseArgs } from "node:util";
import { commandHelp, groupHelp, programHelp } from "./help.ts";

/** One option: the shape of `node:util` parseArgs, plus what help says about it. */
export interface CommandOption {
  readonly type: "string" | "boolean";
  readonly short?: string;
  /** May be given several times; the value is then an array, in the order given. */
  readonly multiple?: true;
  /** What stands for the value in help: `FILE`, `SECONDS` … Strings only. */
  readonly value?: string;
  readonly description: string;
  /** Used when neither the command line nor the environment says anything. */
  readonly default?: string;
  /** Shown in help where the default is worked out by the command itself. Never used as a value. */
  readonly defaultText?: string;
  /** The environment variable read when the option is not given. An empty variable counts as absent. Single strings only. */
  readonly env?: string;
  /** Without a value the command does not run. */
  readonly required?: true;
}

export type CommandOptions = { readonly [name: string]: CommandOption };

type OptionValue = string | boolean | readonly string[] | undefined;

/** Values of the options, by their names as on the command line (`values["spiffe-id"]`). */
export type OptionValues<Options extends CommandOptions> = {
  readonly [Name in keyof Options]: CommandOption extends Options[Name]
    ? OptionValue
    : Options[Name] extends { type: "boolean" }
      ? boolean
      : Options[Name] extends { multiple: true }
        ? readonly string[]
        : Options[Name] extends { required: true } | { default: string }
          ? string
          : string | undefined;
};

/** The outside world of a command. Tests give their own. */
export interface CommandWorld {
  readonly env: { readonly [name: string]: string | undefined };
  readonly stdin: NodeJS.ReadableStream;
  readonly stdout: { write(text: string): unknown };
  readonly stderr: { write(text: string): unknown };
}

export interface CommandContext<Options extends CommandOptions> extends CommandWorld {
  readonly values: OptionValues<Options>;
}

/** A command. `run` resolves to an exit status, nothing meaning 0; what it throws becomes one sentence on stderr. */
export interface Command<Options extends CommandOptions = CommandOptions> {
  readonly name: string;
  /** One line, as in the list of `mayfly --help`. */
  readonly summary: string;
  /** What follows `mayfly NAME` in the usage line. */
  readonly usage: string;
  readonly description: string;
  readonly options: Options;
  /** The option that an argument without a name stands for. */
  readonly argument?: string;
  readonly examples: readonly { readonly does: string; readonly command: string }[];
  run(context: CommandContext<Options>): Promise<number | void>;
}

/** A row of the command table: enough for help, the rest is imported when the command is wanted. */
export interface CommandEntry {
  readonly name: string;
  readonly summary: string;
  load(): Promise<Command>;
}

/** Gives `run` its option types. The result is a plain `Command`: from here on, options are data. */
export function defineCommand<const Options extends CommandOptions>(command: Command<Options>): Command {
  return command;
}

/** The command line is wrong: exit 2. The message is one sentence without the program's name. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/**
 * Runs `args` (without node and script) against the table and resolves to the exit status. Never rejects.
 * A failure is one line on stderr; its stack only when MAYFLY_DEBUG=1.
 */
export async function runCommandLine(
  args: readonly string[],
  table: readonly CommandEntry[],
  world: CommandWorld,
): Promise<number> {
  try {
    return await dispatch(args, table, world);
  } catch (error) {
    world.stderr.write(`mayfly: ${sentenceOf(error)}\n`);
    if (world.env["MAYFLY_DEBUG"] === "1" && error instanceof Error) world.stderr.write(`${error.stack}\n`);
    return error instanceof UsageError ? 2 : 1;
  }
}

async function dispatch(args: readonly string[], table: readonly CommandEntry[], world: CommandWorld): Promise<number> {
  const [first, ...rest] = args;
  if (first === undefined) {
    world.stderr.write(programHelp(table));
    return 2;
  }
  if (first === "--help" || first === "-h" || first === "help") {
    if (rest.length === 0) world.stdout.write(programHelp(table));
    else world.stdout.write(await helpOn(rest, table));
    return 0;
  }
  if (first.startsWith("-")) {
    throw new UsageError(`a command comes before its options, and "${first}" is an option; see "mayfly --help"`);
  }
  const group = groupOf(first, table);
  if (group.length > 0 && (rest[0] === undefined || rest[0].startsWith("-"))) {
    const asked = rest[0] === "--help" || rest[0] === "-h";
    (asked ? world.stdout : world.stderr).write(groupHelp(first, group));
    return asked ? 0 : 2;
  }
  const words = group.length > 0 ? 2 : 1;
  const command = await entryOf(args.slice(0, words).join(" "), group.length > 0 ? group : table).load();
  const parameters = args.slice(words);
  if (asksForHelp(parameters)) {
    world.stdout.write(commandHelp(command));
    return 0;
  }
  return (await command.run({ ...world, values: readOptions(command, parameters, world.env) })) ?? 0;
}

/** Commands of two words that begin with this one: `eab create`, `eab list` … */
const groupOf = (word: string, table: readonly CommandEntry[]): readonly CommandEntry[] =>
  table.filter(({ name }) => name.startsWith(`${word} `));

/** What `mayfly help WORDS` prints. */
async function helpOn(words: readonly string[], table: readonly CommandEntry[]): Promise<string> {
  const [first = ""] = words;
  const group = groupOf(first, table);
  if (group.length > 0 && words.length === 1) return groupHelp(first, group);
  if (words.length > (group.length > 0 ? 2 : 1)) throw new UsageError("help takes the name of one command");
  return commandHelp(await entryOf(words.join(" "), table).load());
}

function entryOf(name: string, table: readonly CommandEntry[]): CommandEntry {
  const entry = table.find((row) => row.name === name);
  if (entry !== undefined) return entry;
  const names = table.flatMap((row) => [row.name, row.name.split(" ")[0] ?? row.name]);
  const near = nearest(name, names);
  const hint = near === undefined ? 'see "mayfly --help"' : `did you mean "${near}"?`;
  throw new UsageError(`there is no command "${name}"; ${hint}`);
}

function asksForHelp(args: readonly string[]): boolean {
  const end = args.indexOf("--");
  return (end === -1 ? args : args.slice(0, end)).some((arg) => arg === "--help" || arg === "-h");
}

/** Reads options strictly: command line, then environment, then default. @throws {UsageError} */
export function readOptions(
  command: Command,
  args: readonly string[],
  env: CommandWorld["env"],
): OptionValues<CommandOptions> {
  const given = parseTokens(command, args);
  const values: Record<string, OptionValue> = {};
  for (const [name, option] of Object.entries(command.options)) {
    const found = given.get(name);
    if (option.type === "boolean") {
      values[name] = found !== undefined;
    } else if (option.multiple) {
      if (found === undefined && option.required) throw missing(command, name, option);
      values[name] = found ?? [];
    } else {
      const value = found?.[0] ?? fromEnvironment(option, env) ?? option.default;
      if (value === undefined && option.required) throw missing(command, name, option);
      values[name] = value;
    }
  }
  return values;
}

const missing = (command: Command, name: string, { value = "VALUE" }: CommandOption): UsageError =>
  new UsageError(`${command.name} needs --${name} ${value}; see "mayfly ${command.name} --help"`);

function fromEnvironment(option: CommandOption, env: CommandWorld["env"]): string | undefined {
  const value = option.env === undefined ? undefined : env[option.env];
  return value === "" ? undefined : value;
}

/** parseArgs in its lenient mode splits the line; the refusals are ours, because its own sentences speak to programmers. */
function parseTokens(command: Command, args: readonly string[]): Map<string, string[]> {
  const options = Object.fromEntries(
    Object.entries(command.options).map(([name, { type, short }]) => [
      name,
      short === undefined ? { type } : { type, short },
    ]),
  );
  const { tokens } = parseArgs({ args: [...args], options, strict: false, tokens: true, allowPositionals: true });
  const given = new Map<string, string[]>();
  for (const token of tokens) {
    if (token.kind === "positional") {
      if (command.argument === undefined || given.has(command.argument))
        throw new UsageError(`${command.name} does not take the argument "${token.value}"`);
      given.set(command.argument, [token.value]);
      continue;
    }
    if (token.kind !== "option") continue;
    const option = Object.hasOwn(command.options, token.name) ? command.options[token.name] : undefined;
    if (option === undefined) throw unknownOption(command, token.rawName);
    if (option.type === "boolean" && token.value !== undefined) throw new UsageError(`${token.rawName} takes no value`);
    if (option.type === "string" && (token.value === undefined || isSwallowedOption(token))) {
      throw new UsageError(`${token.rawName} needs a value: ${token.rawName} ${option.value ?? "VALUE"}`);
    }
    const before = given.get(token.name);
    if (before !== undefined && option.type === "string" && !option.multiple) {
      throw new UsageError(`${token.rawName} is given twice`);
    }
    given.set(token.name, [...(before ?? []), token.value ?? ""]);
  }
  return given;
}

/** "-" alone means standard input; any other separate value with a dash in front is more likely the next option. */
function isSwallowedOption({ value, inlineValue }: { readonly value: string; readonly inlineValue: boolean }): boolean {
  return !inlineValue && value.length > 1 && value.startsWith("-");
}

function unknownOption(command: Command, rawName: string): UsageError {
  const near = nearest(
    rawName,
    Object.keys(command.options).map((name) => `--${name}`),
  );
  const hint = near === undefined ? `see "mayfly ${command.name} --help"` : `did you mean "${near}"?`;
  return new UsageError(`${command.name} has no option "${rawName}"; ${hint}`);
}

/** A whole number of `unit` between `least` and `most`. @throws {UsageError} naming the option, the value and what was expected. */
export function wholeNumber(
  name: string,
  text: string,
  { least, most, unit }: { readonly least: number; readonly most: number; readonly unit: string },
): number {
  const number = /^\d{1,12}$/.test(text) ? Number(text) : Number.NaN;
  if (number >= least && number <= most) return number;
  throw new UsageError(`--${name} is "${text}", expected a whole number of ${unit} from ${least} to ${most}`);
}

/** The candidate that `word` was most likely meant to be, or undefined when none is near. */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  let best: string | undefined;
  let least = Number.POSITIVE_INFINITY;
  for (const candidate of candidates) {
    const distance = editDistance(word.slice(0, 64), candidate);
    const bearable = Math.max(2, Math.floor(candidate.length / 3));
    if (distance <= bearable && distance < least) [best, least] = [candidate, distance];
  }
  return best;
}

/** Levenshtein distance: insertions, deletions, replacements. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

/** What a person is told. Control characters are dropped: part of it may come from a server. */
function sentenceOf(error: unknown): string {
  const text = error instanceof Error ? error.message || error.name : String(error);
  // oxlint-disable-next-line no-control-regex -- they are what is taken out
  return text.replaceAll(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/g, " ");
}
