/** A channel and the network between it and its server: connections that are made to somebody who never answers. */
import assert from "assert";
import { connect, createServer, type Socket } from "node:net";
import { GRPC_CONNECT_MS_MIN, GRPC_MESSAGE_BYTES_MAX_DEFAULT } from "../../limits.ts";
import { fails } from "./fails_test_support.ts";
import { connectMainOverGrpc } from "./main_client.ts";
import { serveMainOverGrpc } from "./main_server.ts";

const messageBytesMax = GRPC_MESSAGE_BYTES_MAX_DEFAULT;
const FAREWELL = { workerId: "w", session: "00112233445566778899aabbccddeeff", token: "t" };

/** A way to the server on which the next `lost` connections lead nowhere; the others count as `through`. */
class Way {
  readonly #server;
  readonly #sockets = new Set<Socket>();
  /** The connections that lead nowhere and that the client still holds. */
  readonly held = new Set<Socket>();
  lostCount = 0;
  throughCount = 0;

  constructor(port: number, private lost: number) {
    this.#server = createServer((socket) => {
      this.#keep(socket);
      if (this.lost > 0) {
        this.lost -= 1;
        this.lostCount += 1;
        this.held.add(socket.once("close", () => this.held.delete(socket)));
        socket.resume();
        return;
      }
      this.throughCount += 1;
      const onward = connect(port, "127.0.0.1");
      this.#keep(onward);
      socket.pipe(onward).pipe(socket);
    });
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket.on("error", () => {}).once("close", () => this.#sockets.delete(socket)));
  }

  async open(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    return `127.0.0.1:${(this.#server.address() as { port: number }).port}`;
  }

  /** Breaks every connection, and loses as many of those that come. */
  cut(lost: number): void {
    this.lost = lost;
    for (const socket of this.#sockets) socket.destroy();
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.cut(0);
    await closed;
  }
}

Deno.test("a channel gives up an attempt to connect that nobody answers, and reaches the server by the next one", async () => {
  let farewells = 0;
  const never = () => Promise.reject(new Error("not expected"));
  const server = await serveMainOverGrpc({
    address: "127.0.0.1:0",
    messageBytesMax,
    handler: { subscribe: never, heartbeat: never, unsubscribe: () => (farewells += 1, Promise.resolve()) },
    process: never,
    onFault: (error) => assert.fail(String(error)),
  });
  const way = new Way(Number(server.address.split(":").at(-1)), 1);
  const client = connectMainOverGrpc({ address: await way.open(), messageBytesMax });
  try {
    // More time than the first attempt gets: what ends it is the attempt's own end.
    await assert.rejects(client.unsubscribe(FAREWELL, 4 * GRPC_CONNECT_MS_MIN), fails("broken"));
    assert.equal(farewells, 0);
    await client.unsubscribe(FAREWELL, 4 * GRPC_CONNECT_MS_MIN);
    assert.deepEqual([way.lostCount, way.throughCount, farewells], [1, 1, 1]);
    assert.equal(way.held.size, 0, "the connection that leads nowhere was left open");

    // After an answer an attempt has as long as the first one had, which is less than this call has.
    way.cut(1);
    let failure: unknown;
    while (way.lostCount < 2) failure = await client.unsubscribe(FAREWELL, 1.5 * GRPC_CONNECT_MS_MIN).catch((e) => e);
    assert(fails("broken")(failure));
    await client.unsubscribe(FAREWELL, 4 * GRPC_CONNECT_MS_MIN);
    assert.deepEqual([way.lostCount, way.held.size, way.throughCount, farewells], [2, 0, 2, 2]);

    // A connection that was made outlives the time that an attempt has.
    await new Promise((resolve) => setTimeout(resolve, 2 * GRPC_CONNECT_MS_MIN + 500));
    await client.unsubscribe(FAREWELL, 4 * GRPC_CONNECT_MS_MIN);
    assert.deepEqual([way.throughCount, farewells], [2, 3]);
  } finally {
    client.close();
    await way.close();
    await server.stop(1_000);
  }
});
