/** Questions on a terminal, a line for each answer. */
import { createInterface } from "node:readline";

import type { CommandWorld } from "./command.ts";

export interface Prompter {
  /** The answer; the default where it is empty. Asked again where `check` has something against it. */
  ask(question: string, normal?: string, check?: (answer: string) => string | undefined): Promise<string>;
  /** One of several; the first is the default. */
  choose<const Choice extends string>(question: string, choices: Readonly<Record<Choice, string>>): Promise<Choice>;
  /** Yes, in full: nothing irreversible is done for a key pressed by accident. */
  agree(question: string): Promise<boolean>;
  close(): void;
}

/** True where somebody can be asked. */
export const isTerminal = (stdin: NodeJS.ReadableStream): boolean => (stdin as { isTTY?: boolean }).isTTY === true;

/** The terminal itself edits the line: what is asked for here has nothing to complete. */
export function prompterOn(stdin: NodeJS.ReadableStream, stdout: CommandWorld["stdout"]): Prompter {
  const lines = createInterface({ input: stdin, terminal: false })[Symbol.asyncIterator]();
  async function answer(prompt: string): Promise<string> {
    stdout.write(prompt);
    const { value, done } = await lines.next();
    if (done === true) throw new Error("the input ended before the question was answered");
    return value.trim();
  }
  async function ask(
    question: string,
    normal?: string,
    check?: (answer: string) => string | undefined,
  ): Promise<string> {
    for (;;) {
      const given = (await answer(`${question}${normal === undefined ? "" : ` [${normal}]`}: `)) || (normal ?? "");
      const fault = given === "" && normal !== "" ? "expected an answer" : check?.(given);
      if (fault === undefined) return given;
      stdout.write(`  ${fault}\n`);
    }
  }
  return {
    ask,
    async choose<const Choice extends string>(question: string, choices: Readonly<Record<Choice, string>>) {
      const names = Object.keys(choices) as Choice[];
      stdout.write(`${question}\n`);
      for (const [index, name] of names.entries()) stdout.write(`  ${index + 1}  ${choices[name]}\n`);
      const number = await ask("Number", "1", (text) =>
        names[Number(text) - 1] === undefined ? `expected a number from 1 to ${names.length}` : undefined,
      );
      return names[Number(number) - 1] as Choice;
    },
    async agree(question) {
      for (;;) {
        const given = (await answer(`${question} [yes/no]: `)).toLowerCase();
        if (given === "yes" || given === "no") return given === "yes";
        stdout.write("  expected yes or no\n");
      }
    },
    close: () => void lines.return?.(),
  };
}
