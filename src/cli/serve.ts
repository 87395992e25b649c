/** `mayfly serve`: runs the certificate authority until it is told to stop. */
import { defineCommand, type CommandContext } from "./command.ts";
import { configOption } from "./configurationOption.ts";
import { boundStandingMemory, growToBound } from "./standingMemory.ts";

export const command = defineCommand({
  name: "serve",
  summary: "run the certificate authority",
  usage: "[--config FILE]",
  description:
    "Starts the listener and prints where everything is. The first start makes root and issuing CA, database and operator token in the data directory; later starts go on with them. Ctrl-C stops it cleanly.",
  options: configOption,
  examples: [
    { does: "try it out, without any configuration", command: "mayfly serve" },
    { does: "with a configuration", command: "mayfly serve --config /etc/mayfly/mayfly.yaml" },
  ],
  run: serve,
});

async function serve({ values, env, stdout }: CommandContext<typeof configOption>): Promise<void> {
  boundStandingMemory();
  const { loadConfiguration } = await import("../config/load.ts");
  const configuration = loadConfiguration(values.config, env);
  const stop = Promise.withResolvers<void>();
  // A terminal sends Ctrl-C to npm and to us, and npm passes it on: the same signal twice is one wish.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => stop.resolve());

  const { compose } = await import("../compose.ts");
  const authority = await compose(configuration);
  growToBound();
  try {
    const { listenHost: host, listenPort: port, http } = configuration;
    // Named only where it is wanted: not every system has it.
    const shared: { reusePort?: boolean } = http.reusePort ? { reusePort: true } : {};
    await authority.server.listen({ host, port, ...shared });
    const { listen } = configuration.revocation;
    if (listen !== undefined) await authority.plainServer?.listen({ ...listen, ...shared });
  } catch (error) {
    const { listening } = authority.server.server;
    await authority.close();
    if ((error as NodeJS.ErrnoException).code !== "EADDRINUSE") throw error;
    const inUse = listening
      ? "the address of revocation.listen is in use; configure another host:port"
      : `${configuration.listen} is in use; set MAYFLY_LISTEN to another host:port`;
    throw new Error(inUse, { cause: error });
  }
  const { banner } = await import("./banner.ts");
  stdout.write(banner(authority));
  await stop.promise;
  stdout.write("Stopping.\n");
  await authority.close();
}
