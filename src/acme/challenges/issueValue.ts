/**
 * The value of a CAA `issue` property (RFC 8659 §4.2), which dns-persist-01 uses for its records as well: an issuer's domain name and
 * parameters. Pure.
 */

export interface IssueValue {
  /** Lower-case; "" stands for no issuer at all. */
  readonly issuer: string;
  /** In their order, tags in lower case; a tag may be there several times. */
  readonly parameters: readonly { readonly tag: string; readonly value: string }[];
}

const label = "[a-z0-9](?:-*[a-z0-9])*";
const issuerPattern = new RegExp(String.raw`^[ \t]*(?<issuer>${label}(?:\.${label})*)?[ \t]*$`, "i");
const parameterPattern = new RegExp(
  String.raw`^[ \t]*(?<tag>${label})[ \t]*=[ \t]*(?<value>[\x21-\x3a\x3c-\x7e]*)[ \t]*$`,
  "i",
);
const charactersMax = 4096;

/** Reads it; undefined when it is not as the grammar has it. */
export function readIssueValue(text: string): IssueValue | undefined {
  if (text.length > charactersMax) return undefined;
  const [first = "", ...rest] = text.split(";");
  const head = issuerPattern.exec(first);
  if (head === null) return undefined;
  const issuer = (head.groups?.["issuer"] ?? "").toLowerCase();
  // One semicolon may end the value; after a parameter there is none without a further parameter.
  if (rest.length === 1 && rest[0]?.trim() === "") return { issuer, parameters: [] };
  const parameters = rest.map((part) => parameterPattern.exec(part)?.groups);
  if (!parameters.every((found) => found !== undefined)) return undefined;
  return {
    issuer,
    parameters: parameters.map(({ tag = "", value = "" }) => ({ tag: tag.toLowerCase(), value })),
  };
}

/** All values of the parameter. */
export function parameterValues({ parameters }: IssueValue, tag: string): string[] {
  return parameters.filter((parameter) => parameter.tag === tag).map(({ value }) => value);
}
