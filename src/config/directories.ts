/** The directories that a server has: one that is always there, and further ones with fewer profiles. */
import { Type, type Static } from "typebox";

import type { Profile } from "../authority/profile.ts";

export const directorySchema = Type.Object(
  {
    name: Type.String({
      pattern: "^[a-z][a-z0-9-]{0,39}$",
      description: "The directory is at /acme/<name>/directory. Accounts of one directory do not exist in another.",
    }),
    profiles: Type.Optional(
      Type.Array(Type.String({ minLength: 1, maxLength: 40 }), {
        minItems: 1,
        maxItems: 100,
        uniqueItems: true,
        description: "Profiles that its orders may be made under. Default: all.",
      }),
    ),
    externalAccountRequired: Type.Optional(
      Type.Boolean({
        description: "Its new accounts need an external account binding. Default: as for the one at /acme.",
      }),
    ),
  },
  { additionalProperties: false },
);

export type DirectoryConfiguration = Static<typeof directorySchema>;

export interface Directory {
  /** `default` for the one at /acme. */
  readonly name: string;
  /** Path of the directory's resources, without a trailing slash. */
  readonly prefix: string;
  readonly profiles: ReadonlyMap<string, Profile>;
  readonly externalAccountRequired: boolean;
}

/** Segments below /acme that are resources of the default directory. */
const taken = new Set(["default", "account", "order", "authorization", "challenge", "certificate", "directory"]);

/**
 * The default directory and the configured ones.
 * @throws {Error} naming key, value and what was expected
 */
export function readDirectories(
  configured: readonly DirectoryConfiguration[],
  profiles: ReadonlyMap<string, Profile>,
  externalAccountRequired: boolean,
): Directory[] {
  const names = new Set<string>();
  const further = configured.map(({ name, profiles: chosen, ...own }): Directory => {
    const at = `acme.directories.${name}`;
    if (names.has(name)) throw new Error(`${at}.name: "${name}": expected a name that no other directory has`);
    if (taken.has(name) || /^(new|key|revoke|renewal)-/.test(name))
      throw new Error(`${at}.name: "${name}": expected a name that is none of a resource`);
    names.add(name);
    const unknown = chosen?.find((profile) => !profiles.has(profile));
    if (unknown !== undefined) throw new Error(`${at}.profiles: "${unknown}": expected the name of a profile`);
    const allowed = [...profiles].filter(([profile]) => chosen === undefined || chosen.includes(profile));
    return {
      name,
      prefix: `/acme/${name}`,
      profiles: new Map(allowed),
      externalAccountRequired: own.externalAccountRequired ?? externalAccountRequired,
    };
  });
  return [{ name: "default", prefix: "/acme", profiles, externalAccountRequired }, ...further];
}
