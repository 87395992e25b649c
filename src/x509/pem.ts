/**
 * PEM (RFC 7468), in the strict form of §3 both ways: 64 columns, nothing between the lines of a block and no headers.
 */

/** The text is not strict PEM with the wanted label. */
export class PemError extends Error {
  override readonly name = "PemError";
}

/** One block, with LF line ends, a final one included. Blocks may be joined without anything between them. */
export function pemEncode(label: string, der: Uint8Array): string {
  const base64 = Buffer.from(der.buffer, der.byteOffset, der.byteLength).toString("base64");
  const lines = base64.match(/.{1,64}/g) ?? [];
  return `${[`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`].join("\n")}\n`;
}

/**
 * The bytes of every block. Line ends are LF or CRLF; blank lines may stand around blocks, other text may not.
 * @throws {PemError} when there is no block, one has another label, or a line is out of form
 */
export function pemDecode(text: string, label: string): Buffer[] {
  const blocks: Buffer[] = [];
  let lines: string[] | undefined;
  for (const [i, line] of text.split(/\r?\n/).entries()) {
    if (lines === undefined) {
      if (line === `-----BEGIN ${label}-----`) lines = [];
      else if (line !== "") throw new PemError(`Line ${i + 1} is not the beginning of a ${label}`);
    } else if (line === `-----END ${label}-----`) {
      blocks.push(decodeLines(lines));
      lines = undefined;
    } else {
      lines.push(line);
    }
  }
  if (lines !== undefined) throw new PemError(`The ${label} does not end`);
  if (blocks.length === 0) throw new PemError(`There is no ${label}`);
  return blocks;
}

function decodeLines(lines: readonly string[]): Buffer {
  const lastLength = lines.at(-1)?.length ?? 0;
  const wrapped = lines.slice(0, -1).every((line) => line.length === 64) && lastLength > 0 && lastLength <= 64;
  if (!wrapped) throw new PemError("The base64 lines are not 64 characters long, the last one excepted");
  const base64 = lines.join("");
  const bytes = Buffer.from(base64, "base64");
  // Node skips what is not base64 and does not mind stray bits; the way back does.
  if (bytes.toString("base64") !== base64) throw new PemError("The lines are not canonical base64");
  return bytes;
}
