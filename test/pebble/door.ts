/** An address that takes connections from the first moment, and keeps them until the server behind it is there: callers wait a few seconds only. */
import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";

export interface Door {
  /** Hands over who waits, and everybody who comes from now on. */
  open(server: Server): void;
  close(): void;
}

/** An empty host is every address of this machine, as in Go. */
export function addressOf(address: string): { host: string; port: number } {
  const [, host = "", port = ""] = /^(.*):(\d+)$/.exec(address) ?? [];
  return { host: host.replaceAll(/[[\]]/g, "") || "::", port: Number(port) };
}

/** @throws {Error} where somebody else listens there */
export async function openDoor(address: string): Promise<Door> {
  const sockets = new Set<Socket>();
  let behind: Server | undefined;
  const door = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.once("close", () => sockets.delete(socket));
    behind?.emit("connection", socket);
  });
  const { host, port } = addressOf(address);
  door.listen(port, host);
  await once(door, "listening");
  return {
    open(server) {
      behind = server;
      for (const socket of sockets) server.emit("connection", socket);
    },
    close() {
      door.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
