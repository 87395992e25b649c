/** argv → command. */
import { runCommandLine } from "./cli/command.ts";
import { commands } from "./cli/commands.ts";

const { env, stdin, stdout, stderr } = process;
// Whoever stops reading (`mayfly init | head`) misses the rest, and takes neither server nor database down with it.
for (const stream of [stdout, stderr]) stream.on("error", () => undefined);
process.exitCode = await runCommandLine(process.argv.slice(2), commands, { env, stdin, stdout, stderr });
