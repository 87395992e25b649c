/** What evidence was used, for whoever only asks: implements `EvidenceUseStore` of the administration. */
import type { EvidenceUseStore } from "../administration/explainPorts.ts";
import { statement, type Database } from "./database.ts";

const usedAmong = statement(
  "evidence_used_among",
  `select one_time_id from evidence_use where one_time_id = any($1::bytea[])`,
);

export const createEvidenceUseStore = (db: Database): EvidenceUseStore => ({
  usedAmong: async (oneTimeIds) =>
    oneTimeIds.length === 0
      ? []
      : (await db.run<{ one_time_id: Buffer }>(usedAmong, [oneTimeIds])).map((row) => row.one_time_id),
});
