/** Addresses are taken apart and put together the same way, and an empty port is recognised by every name of its host. */
import { createServer } from "node:net";
import assert from "assert";
import fc from "fast-check";
import { formatAddress, nobodyListens, parseAddress, peerHost } from "./address.ts";

Deno.test("address: what is put together comes apart again", () => {
  fc.assert(fc.property(
    fc.oneof(fc.domain(), fc.ipV4(), fc.ipV6().filter((host) => !host.includes("%")), fc.constant("")),
    fc.nat({ max: 65_535 }),
    (host, port) => assert.deepEqual(parseAddress(formatAddress({ host, port })), { host, port }),
  ));
});

Deno.test("address: anything else is refused", () => {
  const refused = ["", ":", "host", "host:", "host:x", "host:65536", "host:-1", "::1:80", "[::1]", "[x]:1", "a b:1"];
  for (const address of [...refused, "unix:/run/x", "http://h:1", "h:1/", "h:1 ", `${"h".repeat(300)}:1`]) {
    assert.throws(() => parseAddress(address), TypeError, address);
  }
});

Deno.test("address: the host of a peer, without the port and in its shortest form", () => {
  assert.equal(peerHost("10.1.2.3:4567"), "10.1.2.3");
  assert.equal(peerHost("::ffff:10.1.2.3:4567"), "10.1.2.3");
  assert.equal(peerHost("fd00::1:4567"), "fd00::1");
  assert.equal(peerHost("[fd00::1]:4567"), "fd00::1");
  assert.equal(peerHost("unknown"), "");
});

Deno.test("address: nobody listens where every address refuses, and only there", async () => {
  const server = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  assert.equal(await nobodyListens({ host: "127.0.0.1", port }), false);
  assert.equal(await nobodyListens({ host: "localhost", port }), false);
  await new Promise((resolve) => server.close(resolve));
  assert.equal(await nobodyListens({ host: "127.0.0.1", port }), true);
  assert.equal(await nobodyListens({ host: "localhost", port }), true);
  assert.equal(await nobodyListens({ host: "no-such-host.invalid", port }), false);
});
