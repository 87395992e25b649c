/** `npm run lints:table`: writes docs/lints.md. */
import { writeFileSync } from "node:fs";
import { lintsPage, lintsText } from "../../support/lintTable.ts";

writeFileSync(lintsPage, lintsText());
