/** Whether a grant of the database still reads as it did when it was decided by: a condition of every statement that acts on it. */

/**
 * True where no grant of the database is asked for (its parameters are null), or exactly this version of it stands now. However long ago a
 * process read it, what was removed or changed before the statement began counts.
 * @param name - parameter with the grant's name
 * @param version - parameter with its version
 */
export const grantStands = (name: string, version: string): string =>
  `(${name}::text is null or exists (
      select from grant_version g where g.name = ${name}::text and g.version = ${version}::text and g.origin = 'database' and g.ended_at is null))`;
