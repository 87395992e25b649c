/**
 * Help texts, made from the command table and from each command's own description. Nothing is written twice.
 */
import type { Command, CommandEntry, CommandOption } from "./command.ts";

const width = 100;

/** `mayfly --help`: needs only the rows of the table, so it imports no command. */
export function programHelp(table: readonly CommandEntry[]): string {
  return [
    "Mayfly: a private certificate authority that speaks ACME, for workloads that live for minutes.",
    "",
    "Usage: mayfly COMMAND [OPTION …]",
    "",
    "Commands:",
    ...columns(table.map(({ name, summary }) => [name, summary])),
    "",
    '"mayfly COMMAND --help" tells more about one of them.',
    "",
  ].join("\n");
}

/** `mayfly WORD --help`, where several commands begin with this word. */
export function groupHelp(word: string, group: readonly CommandEntry[]): string {
  return [
    `Usage: mayfly ${word} COMMAND [OPTION …]`,
    "",
    "Commands:",
    ...columns(group.map(({ name, summary }) => [name.slice(word.length + 1), summary])),
    "",
    `"mayfly ${word} COMMAND --help" tells more about one of them.`,
    "",
  ].join("\n");
}

/** `mayfly COMMAND --help`. */
export function commandHelp(command: Command): string {
  const options = Object.entries(command.options).map(([name, option]): [string, string] => [
    optionForm(name, option),
    optionText(option),
  ]);
  return [
    `Usage: mayfly ${command.name} ${command.usage}`.trimEnd(),
    "",
    ...wrap(command.description, width),
    "",
    "Options:",
    ...columns([...options, ["-h, --help", "this text"]]),
    ...(command.examples.length === 0 ? [] : ["", "Examples:"]),
    ...command.examples.flatMap(({ does, command: line }) => [`  # ${does}`, `  ${line}`]),
    "",
  ].join("\n");
}

function optionForm(name: string, { type, short, value }: CommandOption): string {
  const long = type === "boolean" ? `--${name}` : `--${name} ${value ?? "VALUE"}`;
  return short === undefined ? long : `-${short}, ${long}`;
}

function optionText(option: CommandOption): string {
  const shown = option.default ?? option.defaultText;
  const notes = [
    ...(option.required ? ["required"] : []),
    ...(option.multiple ? ["may be repeated"] : []),
    ...(option.env === undefined ? [] : [`environment: ${option.env}`]),
    ...(shown === undefined ? [] : [`default: ${shown}`]),
  ];
  return notes.length === 0 ? option.description : `${option.description} (${notes.join("; ")})`;
}

/** Two columns; the right one is wrapped under itself. */
function columns(rows: readonly (readonly [string, string])[]): string[] {
  const left = Math.max(...rows.map(([term]) => term.length)) + 4;
  return rows.flatMap(([term, text]) =>
    wrap(text, width - left).map((line, index) => (index === 0 ? `  ${term}`.padEnd(left) : " ".repeat(left)) + line),
  );
}

/** Breaks at spaces; blank lines of the text stay. */
function wrap(text: string, limit: number): string[] {
  return text.split("\n").flatMap((paragraph) => {
    const lines = [""];
    for (const word of paragraph.split(" ")) {
      const line = lines.at(-1) ?? "";
      if (line !== "" && line.length + 1 + word.length > limit) lines.push(word);
      else lines[lines.length - 1] = line === "" ? word : `${line} ${word}`;
    }
    return lines;
  });
}
