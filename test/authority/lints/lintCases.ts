/** For every lint a certificate that breaks it and no other. */
import type { Case } from "./caseGround.ts";
import { decisionCases } from "./decisionCases.ts";
import { extensionCases } from "./extensionCases.ts";
import { formCases } from "./formCases.ts";
import { keyCases } from "./keyCases.ts";
import { nameCases } from "./nameCases.ts";

export type { Case };

export const cases: readonly Case[] = [...formCases, ...extensionCases, ...nameCases, ...keyCases, ...decisionCases];
