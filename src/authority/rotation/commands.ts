/** What an operator asks for: each looks at what is there and says why it cannot be; the statement that moves looks once more. */
import { readCertificate } from "../../x509/certificate.ts";
import { awaitsCertificate } from "../certifyIssuer.ts";
import type { IssuerLine } from "../issuerLine.ts";
import type { StoredIssuer } from "../ports.ts";
import { insertNext, lineOf, type RotationParts } from "./ground.ts";
import { activeOf, isValid, nextOf } from "./succession.ts";

/** An operator's wish that cannot be done; the message is for him. */
export class NotMoved extends Error {
  override readonly name = "NotMoved";
}

export interface RotationCommands {
  /**
   * The next issuer of a line, unless there is one.
   * @returns its id
   * @throws {NotMoved} · {KeyUnavailable}
   */
  prepare(kind: IssuerLine["kind"], name: string, actor: string): Promise<string>;
  /** @throws {NotMoved} */
  publish(id: string, actor: string): Promise<void>;
  /** @param now true however short it has been published @throws {NotMoved} */
  activate(id: string, actor: string, now: boolean): Promise<void>;
  /**
   * The next issuer of a line, made where there is none, takes the place of the one that is active now, and of no other: of several who ask at
   * the same time one is served.
   * @returns ids of both; `former` null where none was active
   * @throws {NotMoved} · {KeyUnavailable}
   */
  replace(kind: IssuerLine["kind"], name: string, actor: string): Promise<{ active: string; former: string | null }>;
  /**
   * Ends an issuer: one that never issued, or one that is retiring and of which nothing counts any more.
   * @param anyway true whatever counts: a retiring one is retired, an active one retires without another in its place
   * @throws {NotMoved}
   */
  retire(id: string, actor: string, anyway: boolean): Promise<void>;
}

export function createCommands(parts: RotationParts): RotationCommands {
  const { store, lines } = parts;

  function configured(kind: IssuerLine["kind"], name: string): IssuerLine {
    const line = lineOf(lines, { kind, name });
    if (line === undefined) throw new NotMoved(noLine(kind, name));
    return line;
  }

  /** While no other process makes issuers. */
  async function made(line: IssuerLine, stored: readonly StoredIssuer[], actor: string): Promise<string> {
    const id = await insertNext(line, stored, parts, actor);
    if (id === undefined) throw new NotMoved("somebody else has just made the next one");
    return id;
  }

  async function prepare(kind: IssuerLine["kind"], name: string, actor: string): Promise<string> {
    const line = configured(kind, name);
    return await store.exclusively(async () => {
      const stored = await store.readIssuers();
      const next = nextOf(line, stored);
      if (next !== undefined) throw new NotMoved(`issuer ${next.id} is the next one already: it is ${next.state}`);
      return await made(line, stored, actor);
    });
  }

  async function replace(kind: IssuerLine["kind"], name: string, actor: string) {
    const line = configured(kind, name);
    const former = activeOf(line, await store.readIssuers())?.id ?? null;
    const active = await store.exclusively(async () => {
      const stored = await store.readIssuers();
      if ((activeOf(line, stored)?.id ?? null) !== former) throw new NotMoved(replacedAlready);
      const next = nextOf(line, stored);
      if (next === undefined) return await made(line, stored, actor);
      requireCertificate(next);
      requireValid(next, parts.now());
      return next.id;
    });
    const moved = await store.activate({ id: active, previous: former, publishedSeconds: null, actor });
    await orRefused(moved, active, replacedAlready);
    return { active, former };
  }

  /** @throws {NotMoved} unless it was moved; with the state that it is in */
  async function orRefused(moved: boolean, id: string, expected: string): Promise<void> {
    if (moved) return await parts.issuers.reread();
    throw new NotMoved(`the issuer is ${found(id, await store.readIssuers()).state}: ${expected}`);
  }

  async function activate(id: string, actor: string, now: boolean): Promise<void> {
    const stored = await store.readIssuers();
    const next = found(id, stored);
    requireCertificate(next);
    requireValid(next, parts.now());
    const kind = next.kind === "root" ? "root" : "issuing";
    const { publishedSeconds = 0 } = lineOf(lines, { kind, name: next.name }) ?? {};
    const previous = activeOf(next, stored)?.id ?? null;
    const moved = await store.activate({ id, previous, publishedSeconds: now ? null : publishedSeconds, actor });
    const expected = `one that has been published for ${publishedSeconds} s can be activated, or any that comes next where that is forced`;
    await orRefused(moved, id, expected);
  }

  async function retire(id: string, actor: string, anyway: boolean): Promise<void> {
    const { state } = found(id, await store.readIssuers());
    if (state === "prepared" || state === "published")
      return await orRefused(await store.discard(id, actor), id, "try again");
    if (state === "active" && anyway) return await orRefused(await store.stop(id, actor), id, "try again");
    if (await store.retire(id, actor, anyway)) return await parts.issuers.reread();
    await orRefused(false, id, await whatCounts(id));
  }

  /** Why an issuer is not retired. Revoked certificates are on its lists until they end. */
  async function whatCounts(id: string): Promise<string> {
    if (found(id, await store.readIssuers()).state !== "retiring") return "one that is retiring is retired";
    const last = await store.lastEnd(id);
    const why =
      last === null
        ? "something that it signed counts"
        : `certificates of it, revoked ones among them, end at ${last.toISOString()}`;
    return `${why}; it is retired after that, or at once where that is forced`;
  }

  return {
    prepare,
    async publish(id, actor) {
      requireCertificate(found(id, await store.readIssuers()));
      await orRefused(await store.publish(id, actor), id, "one that is prepared can be published");
    },
    activate,
    replace,
    retire,
  };
}

const replacedAlready = "another one has just become the active issuer of the line";

function found(id: string, stored: readonly StoredIssuer[]): StoredIssuer {
  const issuer = stored.find((one) => one.id === id);
  if (issuer === undefined) throw new NotMoved("there is no such issuer");
  return issuer;
}

function requireCertificate(issuer: StoredIssuer): void {
  if (awaitsCertificate(issuer)) throw new NotMoved("the issuer waits for its certificate");
}

/** What signs while it is not valid signs nothing that anybody takes, and issuing by it is refused. @throws {NotMoved} */
function requireValid({ certificate }: StoredIssuer, now: Date): void {
  if (certificate === null || isValid(certificate, now)) return;
  const { notBefore, notAfter } = readCertificate(certificate, { lenient: true });
  throw new NotMoved(`the issuer is valid from ${notBefore.toISOString()} until ${notAfter.toISOString()}`);
}

const noLine = (kind: IssuerLine["kind"], name: string): string =>
  kind === "root" ? `there is no line of roots ${name}` : `there is no line of issuers ${name} in the configuration`;
