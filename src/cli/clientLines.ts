/** Lines for certbot and lego that can be copied into a terminal as they are. */
import path from "node:path";

/** What such a line needs to know. */
export interface ClientLine {
  /** URL of the ACME directory. */
  readonly directory: string;
  /** As the terminal has it; undefined where the system's roots do. */
  readonly root: string | undefined;
  /** Where the client keeps its files, as the terminal has it. */
  readonly folder: string;
  readonly name: string;
  readonly http01Port: number;
  /** Key id and MAC key of an external account. */
  readonly externalAccount?: { readonly kid: string; readonly hmac: string };
}

const httpPort = 80;

/** One line for `certbot certonly`; it registers where there is no account yet. */
export function certbotLine(line: ClientLine): string {
  const { directory, root, folder, name, http01Port, externalAccount: key } = line;
  return words(
    root && `REQUESTS_CA_BUNDLE=${root}`,
    "certbot certonly --standalone",
    http01Port !== httpPort && `--http-01-port ${http01Port}`,
    `--server ${directory}`,
    key && `--eab-kid=${key.kid} --eab-hmac-key=${key.hmac}`,
    `-d ${name} --agree-tos -m you@example.com --non-interactive`,
    `--config-dir ${folder}/certbot --work-dir ${folder}/certbot --logs-dir ${folder}/certbot`,
  );
}

/** One line for `lego run`. */
export function legoLine(line: ClientLine): string {
  const { directory, root, folder, name, http01Port, externalAccount: key } = line;
  return words(
    root && `LEGO_CA_CERTIFICATES=${root}`,
    `lego --server ${directory}`,
    key && `--eab --kid=${key.kid} --hmac=${key.hmac}`,
    `--path ${folder}/lego --email you@example.com --accept-tos --domains ${name} --http`,
    http01Port !== httpPort && `--http.port :${http01Port}`,
    "run",
  );
}

const words = (...parts: readonly (string | false | undefined)[]): string =>
  parts.filter((part) => part !== undefined && part !== false && part !== "").join(" ");

/** Quotes a path for a shell where it needs it. */
export const shell = (text: string): string =>
  /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;

/** Paths below the folder that the person stands in are shown relative to it. */
export function shown(file: string): string {
  const relative = path.relative(process.cwd(), file);
  return shell(relative.startsWith("..") ? file : relative);
}
