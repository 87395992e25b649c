/** argv → command. */
import { runCommandLine } from "./cli/command.ts";
import { commands } from "./cli/commands.ts";

const { env, stdin, stdout, stderr } = process;
process.exitCode = await runCommandLine(process.argv.slice(2), commands, { env, stdin, stdout, stderr });
