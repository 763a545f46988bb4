/** A peer that says goodbye, against processes in which freed memory is overwritten: whoever still uses it crashes. */
import { Buffer } from "node:buffer";
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import assert from "assert";
import { Child } from "./child_test_support.ts";

const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
const HEADER_BYTES = 9;
const HEADERS = 1;
const SETTINGS = 4;
const GOAWAY = 7;
const TIMES = 20;

/** A frame for the whole connection (RFC 9113, 4.1). */
function frame(type: number, payload: readonly number[] = []): Buffer {
  return Buffer.from([0, 0, payload.length, type, 0, 0, 0, 0, 0, ...payload]);
}

/** No stream is wanted any more; `code`: why (RFC 9113, 6.8). */
const goaway = (code: number) => frame(GOAWAY, [0, 0, 0, 0, 0, 0, 0, code]);

/** Resolves when the other side has closed the connection. */
async function closed(socket: Socket): Promise<void> {
  socket.on("error", () => {});
  socket.resume();
  await new Promise<void>((resolve) => socket.once("close", () => resolve()));
}

/** Whether a client has begun a call; `bytes`: what it has sent. */
function calls(bytes: Buffer): boolean {
  for (let at = PREFACE.length; at + HEADER_BYTES <= bytes.length; at += HEADER_BYTES + bytes.readUIntBE(at, 3)) {
    if (bytes[at + 3] === HEADERS) return true;
  }
  return false;
}

for (const [name, code] of [["that is done", 0], ["that found an error", 1]] as const) {
  Deno.test(`sessions: a client ${name} says so and leaves, and the server goes on`, async () => {
    await using server = new Child("serve");
    const address = await server.line();
    const port = Number(address.split(":")[1]);
    for (let i = 0; i < TIMES; i++) {
      const socket = connect({ host: "127.0.0.1", port });
      socket.write(Buffer.concat([PREFACE, frame(SETTINGS), goaway(code)]));
      await closed(socket);
    }
    await using worker = new Child("heartbeat", address);
    assert.equal(await server.line(), "heartbeat");
    assert.equal(worker.over, false);
  });

  Deno.test(`sessions: a server ${name} says so and leaves, and the client comes back`, async () => {
    let visits = 0;
    const { promise: often, resolve } = Promise.withResolvers<void>();
    const server = createServer((socket) => {
      visits += 1;
      if (visits === TIMES) resolve();
      socket.write(frame(SETTINGS));
      let bytes = Buffer.alloc(0);
      socket.on("data", (chunk: Buffer) => {
        bytes = Buffer.concat([bytes, chunk]);
        if (calls(bytes)) socket.end(goaway(code));
      });
      socket.on("error", () => {});
    }).listen(0, "127.0.0.1");
    try {
      await once(server, "listening");
      const { port } = server.address() as { port: number };
      await using client = new Child("insist", `127.0.0.1:${port}`);
      const ended = await Promise.race([often, client.ended]);
      assert.equal(ended, undefined);
    } finally {
      server.close();
    }
  });
}
