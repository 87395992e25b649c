/** What the commands about issuers share: how one is named, and how it is printed. */
import type { CommandOptions } from "./command.ts";
import { restOptions, type Json, type Rest } from "./rest.ts";

/** An issuer, as the server shows it. */
export interface ShownIssuer {
  readonly id: string;
  readonly kind: string;
  readonly name: string;
  readonly generation: number;
  readonly state: string;
  readonly waitsForCertificate: boolean;
  readonly sha256: string | null;
  readonly notAfter: string | null;
  readonly nextMove: { readonly move: string; readonly at: string } | null;
  readonly certificates?: number;
  readonly certificatePem?: string | null;
  readonly requestPem?: string | null;
}

export const idOptions = {
  id: { type: "string", value: "ID", required: true, description: "the issuer, as issuers list shows it" },
  ...restOptions,
} as const satisfies CommandOptions;

/** Asks for a move of one issuer and says what it is now. */
export async function moveIssuer(rest: Rest, id: string, act: string, body?: object): Promise<ShownIssuer> {
  return (await rest.post(`/issuers/${encodeURIComponent(id)}/${act}`, body)) as unknown as ShownIssuer;
}

/** The server's answer about one. */
export const asIssuer = (json: Json): ShownIssuer => json as unknown as ShownIssuer;

/** "issuing CA 2 of the line default". */
export const called = ({ kind, name, generation }: ShownIssuer): string =>
  kind === "root" ? `root ${generation}` : `issuing CA ${generation} of the line ${name}`;

/** What an issuer is now, and what comes next, in lines. */
export function described(issuer: ShownIssuer): string {
  const lines = [
    `${called(issuer)} is ${issuer.state}${issuer.waitsForCertificate ? " and waits for its certificate" : ""}.`,
    `  id            ${issuer.id}`,
    ...(issuer.sha256 === null ? [] : [`  SHA-256       ${issuer.sha256}`]),
    ...(issuer.notAfter === null ? [] : [`  ends          ${issuer.notAfter}`]),
    ...(issuer.certificates === undefined ? [] : [`  certificates  ${issuer.certificates} in force`]),
    ...(issuer.nextMove === null ? [] : [`  next          ${issuer.nextMove.move} at ${issuer.nextMove.at}`]),
  ];
  return `${lines.join("\n")}\n`.replace(/^./, (first) => first.toUpperCase());
}

/** The line that a command is about. `--root` is the file of the server's root, so the roots are a kind. */
export const lineOptions = {
  line: {
    type: "string",
    value: "NAME",
    default: "default",
    description: "line of issuing CAs, as in the configuration",
  },
  kind: { type: "string", value: "KIND", default: "issuing", description: "issuing, or root for the roots" },
  ...restOptions,
} as const satisfies CommandOptions;
