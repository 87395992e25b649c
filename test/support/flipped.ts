/** Evidence with one bit flipped. */

/** Copies of `octets`, each with one bit of one octet flipped: of every octet from `start` to `end`, or of every `stride`-th. */
export function* flippedBits(
  octets: Buffer,
  {
    start = 0,
    end = octets.length,
    stride = 1,
  }: { readonly start?: number; readonly end?: number; readonly stride?: number } = {},
): Generator<{ readonly at: number; readonly flipped: Buffer }> {
  for (let at = start; at < end; at += stride) {
    const flipped = Buffer.from(octets);
    flipped[at] = (flipped[at] ?? 0) ^ (1 << (at % 8));
    yield { at, flipped };
  }
}
