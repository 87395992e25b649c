/**
 * Times as certificates carry them (RFC 5280 §4.1.2.5): UTCTime for 1950 to 2049, GeneralizedTime from 2050, always Zulu with
 * seconds and without fractions.
 */

const utcForm = /^[0-9]{12}Z$/;
const generalizedForm = /^[0-9]{14}Z$/;

/** First instant that GeneralizedTime has to carry. */
const generalizedTimeStart = new Date("2050-01-01T00:00:00Z");
const utcTimeStart = new Date("1950-01-01T00:00:00Z");
/** The time that says "no well-defined expiration" (RFC 5280 §4.1.2.5); later ones cannot be written. */
const lastTime = new Date("9999-12-31T23:59:59Z");

/** Parses the content of a UTCTime; undefined when it is not `YYMMDDHHMMSSZ` or names no real instant. */
export function parseUtcTime(content: string): Date | undefined {
  if (!utcForm.test(content)) return undefined;
  return instant((content < "5" ? "20" : "19") + content);
}

/** Parses the content of a GeneralizedTime; undefined when it is not `YYYYMMDDHHMMSSZ` or names no real instant. */
export function parseGeneralizedTime(content: string): Date | undefined {
  return generalizedForm.test(content) ? instant(content) : undefined;
}

function instant(c: string): Date | undefined {
  const iso = `${c.slice(0, 4)}-${c.slice(4, 6)}-${c.slice(6, 8)}T${c.slice(8, 10)}:${c.slice(10, 12)}:${c.slice(12, 14)}.000Z`;
  const date = new Date(iso);
  // Date rolls 30 February and 24:00 over into the next day; the way back shows it.
  return !Number.isNaN(date.getTime()) && date.toISOString() === iso ? date : undefined;
}

/**
 * Content of the UTCTime or GeneralizedTime that RFC 5280 §4.1.2.5 wants for `date`; 13 characters make a UTCTime, 15 a GeneralizedTime.
 * @throws {RangeError} for a fraction of a second, or a time before 1950 or after 9999
 */
export function formatTime(date: Date): string {
  const text = formatGeneralizedTime(date);
  return date < generalizedTimeStart ? text.slice(2) : text;
}

/** Content of the GeneralizedTime of any year, as OCSP has it (RFC 6960 §4.2.1). @throws {RangeError} as `formatTime` does */
export function formatGeneralizedTime(date: Date): string {
  if (!(date >= utcTimeStart && date <= lastTime))
    throw new RangeError("A certificate's time lies between 1950 and 9999");
  if (date.getTime() % 1000 !== 0) throw new RangeError("A certificate's time has whole seconds");
  return `${date.toISOString().slice(0, 19).replaceAll(/[-:T]/g, "")}Z`;
}

const rfc3339 = /^(\d{4}-\d{2}-\d{2})[Tt](?:[01]\d|2[0-3]):\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})$/;

/** A time of RFC 3339 §5.6, or undefined. JavaScript takes 30 February for 2 March and 24:00 for the next day; here they are no times. */
export function parseRfc3339(text: string): Date | undefined {
  const day = rfc3339.exec(text)?.[1];
  if (day === undefined || Number.isNaN(Date.parse(text))) return undefined;
  return new Date(`${day}T00:00:00Z`).toISOString().startsWith(day) ? new Date(text) : undefined;
}
