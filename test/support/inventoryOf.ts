/** What the inventory of a running server says about certificates, asked over REST. */
import type { ServerProcess } from "./serverProcess.ts";

/** The members that end-to-end tests look at. */
export interface InventoryEntry {
  readonly serial: string;
  readonly state: string;
  readonly fingerprintSha256: string;
  readonly spiffeId: string | null;
  readonly dnsNames: readonly string[];
  readonly order: string | null;
  readonly evidenceDigest: string | null;
  readonly evidenceSource: string | null;
  readonly evidenceFormat: string | null;
  readonly bindingLevel: string | null;
  readonly rule: string | null;
  readonly revocationReason: number | null;
}

/** Every certificate that this query finds, newest first; all pages. */
export async function inventoryOf(server: Pick<ServerProcess, "get">, query: string): Promise<InventoryEntry[]> {
  const found: InventoryEntry[] = [];
  let cursor: string | undefined = "";
  do {
    const { status, body } = await server.get(`/api/v1/certificates?limit=1000&${query}${cursor}`);
    if (status !== 200) throw new Error(`the inventory answered ${status}: ${JSON.stringify(body)}`);
    found.push(...(body["certificates"] as InventoryEntry[]));
    const next = body["next"] as string | undefined;
    cursor = next && `&cursor=${encodeURIComponent(next)}`;
  } while (cursor !== undefined);
  return found;
}
