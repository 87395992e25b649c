/** The first issuer of a line begins to issue. Those that follow it are published and activated by the rotation. */
import { defaultIssuerName } from "../issuer.ts";
import type { CeremonyGround, Standing } from "./ground.ts";
import { CeremonyStopped } from "./ground.ts";
import type { Activate } from "./steps.ts";

export async function activate({ line = defaultIssuerName }: Activate, ground: CeremonyGround): Promise<Standing> {
  const store = await ground.store();
  const own = (await store.readIssuers()).filter((one) => one.kind === "issuing" && one.name === line);
  const active = own.find(({ state }) => state === "active");
  const next = own.filter(({ certificate, state }) => certificate !== null && state === "prepared").at(-1);
  if (active !== undefined)
    return {
      is: "done",
      lines: [
        `issuer ${active.generation} of the line ${line} is active`,
        ...(next === undefined ? [] : [`issuer ${next.generation} follows it by rotation (docs/operations.md)`]),
      ],
    };
  if (next === undefined) {
    if (own.some(({ certificate }) => certificate === null))
      return { is: "waiting", on: `the certificate of the line ${line}` };
    throw new CeremonyStopped(`the line ${line} has no issuer; request one`);
  }
  return {
    is: "ready",
    exclusive: true,
    plan: [`lets issuer ${next.generation} of the line ${line} issue certificates`],
    async act() {
      if (!(await store.activateFirst(next.id, ground.actor)))
        throw new CeremonyStopped(`issuer ${next.generation} of the line ${line} was moved by somebody else meanwhile`);
      return [`issuer ${next.generation} of the line ${line} is active`];
    },
  };
}
