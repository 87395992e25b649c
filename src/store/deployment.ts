/** The secret that all server processes on one database share. Whoever reads the database knows it; nobody else does. */
import { hkdfSync, randomBytes } from "node:crypto";

import { statement, type Database } from "./database.ts";

// An update that changes nothing, so that the row comes back whoever made it.
const secretOf = statement(
  "deployment_secret",
  `insert into deployment (secret) values ($1) on conflict (singleton) do update set secret = deployment.secret returning secret`,
);

/** Reads the deployment's secret, or makes it; resolves to what derives a key of 32 octets for one purpose from it (RFC 5869). */
export async function openDeployment(db: Database): Promise<(purpose: string) => Buffer> {
  const [row] = await db.run<{ secret: Buffer }>(secretOf, [randomBytes(32)]);
  if (row === undefined) throw new Error("the database keeps no secret of the deployment");
  return (purpose) => Buffer.from(hkdfSync("sha256", row.secret, "", `mayfly ${purpose}`, 32));
}
