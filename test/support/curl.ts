/**
 * curl as far as the documentation uses it, so that its lines run where curl is not installed. A status of 400 or more fails, as with
 * curl's `--fail`; an option that is not known here fails too.
 */
import { readFileSync } from "node:fs";
import { request } from "node:https";
import { parseArgs } from "node:util";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    silent: { type: "boolean", short: "s" },
    request: { type: "string", short: "X" },
    get: { type: "boolean", short: "G" },
    header: { type: "string", short: "H", multiple: true, default: [] },
    cacert: { type: "string" },
    data: { type: "string" },
    "data-urlencode": { type: "string", multiple: true, default: [] },
  },
});
const [target, ...others] = positionals;
if (target === undefined || others.length > 0) throw new Error("exactly one URL is wanted");
const url = new URL(target);
if (values["data-urlencode"].length > 0 && !values.get) throw new Error("only GET is known here");
for (const pair of values["data-urlencode"])
  url.searchParams.append(pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1));
const headers = Object.fromEntries(
  values.header.map((line): [string, string] => [
    line.slice(0, line.indexOf(":")),
    line.slice(line.indexOf(":") + 1).trim(),
  ]),
);

const asking = request(
  url,
  {
    headers,
    method: values.request ?? (values.data === undefined ? "GET" : "POST"),
    ...(values.cacert !== undefined && { ca: readFileSync(values.cacert) }),
  },
  (answer) => {
    if ((answer.statusCode ?? 500) >= 400) process.exitCode = 22;
    answer.pipe(process.stdout);
  },
);
asking.on("error", (error) => {
  console.error(error.message);
  process.exitCode = 7;
});
asking.end(values.data);
