/** Runs a ceremony, step after step. What was done before is not done again, so that one that was cut off, or that waited, goes on. */
import { activate } from "./activate.ts";
import { crossSign } from "./crossSign.ts";
import type { CeremonyGround, Standing } from "./ground.ts";
import { importCertificate } from "./importCertificate.ts";
import { makeRoot } from "./makeRoot.ts";
import { offerChain } from "./offerChain.ts";
import { requestCross } from "./requestCross.ts";
import { requestIssuing } from "./requestIssuing.ts";
import { signIssuing } from "./signIssuing.ts";
import type { Ceremony, Step, StepName } from "./steps.ts";

/** What each step does, in a few words. */
export const stepTitles: Readonly<Record<StepName, string>> = {
  makeRoot: "make a root",
  requestIssuing: "make an issuing CA's key and the request for its certificate",
  signIssuing: "sign an issuing CA's certificate",
  importCertificate: "bring an issuing CA's certificate in",
  activate: "let the issuing CA issue",
  requestCross: "make a request for one more certificate of a CA of ours",
  crossSign: "sign one more certificate for another CA",
  offerChain: "offer an alternate chain",
};

/** How a ceremony talks to who holds it. */
export interface CeremonyConversation {
  /** To the operators and into the transcript, where it lasts before this resolves. */
  readonly say: (line: string) => Promise<void>;
  /** Whether what was just shown may be done. */
  readonly agree: () => Promise<boolean>;
}

/** How it ended: all steps done; a step waits for something from elsewhere; an operator did not agree. */
export type CeremonyEnd = "done" | "waiting" | "stopped";

/** @throws {CeremonyStopped} · {LintFailed} · {KeyUnavailable} */
export async function runCeremony(
  { steps }: Ceremony,
  ground: CeremonyGround,
  { say, agree }: CeremonyConversation,
): Promise<CeremonyEnd> {
  const sayAll = async (lines: readonly string[]): Promise<void> => {
    for (const line of lines) await say(`    ${line}`);
  };
  for (const [index, step] of steps.entries()) {
    await say(`Step ${index + 1} of ${steps.length}: ${stepTitles[step.step]}`);
    const standing = await standingOf(step, ground);
    if (standing.is === "done") {
      await say("  was done before:");
      await sayAll(standing.lines);
      continue;
    }
    if (standing.is === "waiting") {
      await say(`  waits for ${standing.on}; bring it, and run the ceremony again`);
      return "waiting";
    }
    await say("  will do:");
    await sayAll(standing.plan);
    if (!(await agree())) {
      await say("  was not agreed to; nothing of this step was done");
      return "stopped";
    }
    const lines = standing.exclusive === true ? await actAlone(step, ground) : await standing.act();
    await say("  done:");
    await sayAll(lines);
  }
  return "done";
}

/** While nobody else changes issuers: what was agreed to may have been done by somebody else meanwhile. */
async function actAlone(step: Step, ground: CeremonyGround): Promise<readonly string[]> {
  const store = await ground.store();
  return await store.exclusively(async () => {
    const standing = await standingOf(step, ground);
    if (standing.is === "ready") return await standing.act();
    return standing.is === "done" ? standing.lines : [`waits for ${standing.on}`];
  });
}

async function standingOf(step: Step, ground: CeremonyGround): Promise<Standing> {
  switch (step.step) {
    case "makeRoot":
      return await makeRoot(step, ground);
    case "requestIssuing":
      return await requestIssuing(step, ground);
    case "signIssuing":
      return await signIssuing(step, ground);
    case "importCertificate":
      return await importCertificate(step, ground);
    case "activate":
      return await activate(step, ground);
    case "requestCross":
      return await requestCross(step, ground);
    case "crossSign":
      return await crossSign(step, ground);
    case "offerChain":
      return await offerChain(step, ground);
  }
}
