/** Serial numbers of leaf certificates: the day they end, and randomness. Pure. */

/** Octets of randomness in a serial number: 112 bits, of which RFC 5280 and the BRs ask 64. */
export const serialRandomOctets = 14;

/** Octets of the day before them. */
export const serialDayOctets = 2;

/** Days since 1970. */
export const dayOf = (notAfter: Date): number => Math.floor(notAfter.getTime() / 86_400_000);

/**
 * A serial number: two octets with the day of notAfter since 1970 (the high bit stays clear until 2059), then 112 random bits. The
 * prefix keeps neighbours in time near each other in the index and lets revocation lists be cut by day.
 */
export function serialNumber(notAfter: Date, random: Buffer): Buffer {
  if (random.length !== serialRandomOctets) throw new RangeError(`a serial needs ${serialRandomOctets} random octets`);
  const day = dayOf(notAfter);
  if (day < 0x100 || day > 0x7fff) throw new RangeError("notAfter lies outside the range of serial numbers");
  const prefix = Buffer.alloc(serialDayOctets);
  prefix.writeUInt16BE(day);
  return Buffer.concat([prefix, random]);
}

/** What serial numbers of certificates that end on this day or later are above, octet by octet. */
export function firstSerialOf(day: Date): Buffer {
  const prefix = Buffer.alloc(serialDayOctets);
  prefix.writeUInt16BE(Math.min(Math.max(dayOf(day), 0), 0x7fff));
  return prefix;
}
