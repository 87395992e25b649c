/**
 * Revocation lists, made: whatever list of ours is due is read, written, linted, signed and published, one after the other. Several processes share
 * the work; each list has one maker and one number.
 */
import { createHash } from "node:crypto";

import { KeyUnavailable } from "../../keys/signer.ts";
import { assembleCertificateList, createRevokedEntries } from "../../x509/certificateListWriter.ts";
import type { CertificateListStore, ListTurn, SignedList } from "../certificateListPorts.ts";
import type { Issuers, ListIssuer } from "../issuer.ts";
import { type LintedCertificateList, lintList } from "./lintList.ts";
import { boundsOf, prepareList, type ListTimes } from "./prepareList.ts";

export interface MakingLists {
  readonly store: Pick<CertificateListStore, "takeTurn" | "giveBack" | "readRevoked" | "publish">;
  readonly issuers: Pick<Issuers, "listIssuers">;
  readonly times: ListTimes;
  readonly now: () => Date;
  /** Told of a list that could not be made; it is tried again in a while. */
  readonly onFailed: (turn: ListTurn, error: unknown) => void;
}

/** Makes all lists that are due. Resolves to how many it published. */
export async function makeDueLists(parts: MakingLists): Promise<number> {
  const failed = new Set<string>();
  for (let published = 0; ;) {
    const ids = parts.issuers
      .listIssuers()
      .filter((issuer) => issuer.notAfter > parts.now() && !failed.has(issuer.id) && isReady(issuer))
      .map(({ id }) => id);
    const turn = await parts.store.takeTurn(ids, parts.now());
    if (turn === undefined) return published;
    try {
      if (await makeList(turn, parts)) published += 1;
    } catch (error) {
      // The other lists of this issuer would fail in the same way, and those of other issuers need not.
      failed.add(turn.issuerId);
      parts.onFailed(turn, error);
      await parts.store.giveBack(turn);
    }
  }
}

/** A token that is away is not asked for each of its lists; readiness tells of it. */
function isReady({ key }: ListIssuer): boolean {
  try {
    key.requireReady();
    return true;
  } catch (error) {
    if (error instanceof KeyUnavailable) return false;
    throw error;
  }
}

/** Resolves to false where another attempt at this list was published meanwhile. */
async function makeList(turn: ListTurn, parts: MakingLists): Promise<boolean> {
  const issuer = parts.issuers.listIssuers().find(({ id }) => id === turn.issuerId);
  if (issuer === undefined) throw new KeyUnavailable("the issuer is not in use any more");
  return await parts.store.publish(await signed(await linted(turn, issuer, parts)));
}

/** What of a large list is not needed any more goes with the function that needed it. */
async function linted(
  turn: ListTurn,
  issuer: ListIssuer,
  { store, times, now }: MakingLists,
): Promise<LintedCertificateList> {
  const entries = createRevokedEntries();
  const count = await store.readRevoked(turn, boundsOf(issuer, turn, times, now()), (octets, start, end, at, reason) =>
    entries.add(octets, start, end, at, reason),
  );
  // After what is new has been settled: whatever was revoked before this time and is to be on the list, is.
  return lintList(prepareList(issuer, turn, { entries, count }, times, now()));
}

async function signed(list: LintedCertificateList): Promise<SignedList> {
  const { turn, issuer, tbs, entries, thisUpdate, nextUpdate, times } = list;
  const der = assembleCertificateList(tbs, issuer.key.algorithm, await issuer.key.sign(list));
  return {
    turn,
    der,
    sha256: createHash("sha256").update(der).digest(),
    entries,
    thisUpdate,
    nextUpdate,
    dueAt: new Date(thisUpdate.getTime() + times.intervalSeconds * 1000),
  };
}
