/** The `--config` option that the server's commands share. */
export const configOption = {
  config: {
    type: "string",
    value: "FILE",
    env: "MAYFLY_CONFIG",
    description: "YAML configuration file; without one, everything is set up for trying Mayfly out on this machine",
  },
} as const;
