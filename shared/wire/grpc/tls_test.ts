/** TLS and mutual TLS on real connections, and certificates that are replaced while a server runs. */
import { connect } from "node:tls";
import assert from "assert";
import { GRPC_MESSAGE_BYTES_MAX_DEFAULT } from "../../limits.ts";
import type { Clock } from "../../seams/clock.ts";
import type { WorkerHandler } from "../transport.ts";
import { TestAuthority } from "../../../tests/tools/test_authority.ts";
import { TlsError, type TlsMaterial, TlsSource } from "./tls.ts";
import { openTlsFiles } from "./tls_files.ts";
import { connectWorkerOverGrpc } from "./worker_client.ts";
import { serveWorkerOverGrpc } from "./worker_server.ts";

const messageBytesMax = GRPC_MESSAGE_BYTES_MAX_DEFAULT;
const BATCH = { epoch: 1, dispatcher: "d", seq: 1, floor: 1, deadlineMs: 1, operations: [], schemas: new Map() };

const handler: WorkerHandler = {
  processBatch: () => Promise.resolve({ results: [{ kind: "valid" }] }),
  list: () => Promise.reject(new Error("not expected")),
  events: () => Promise.reject(new Error("not expected")),
};

/** Serves with `tls`, and hands over a function that makes one call with the TLS of a client. */
async function withServer(
  tls: TlsSource,
  run: (call: (tls?: TlsSource, serverName?: string) => Promise<unknown>, port: number) => Promise<void>,
): Promise<void> {
  const server = await serveWorkerOverGrpc({
    address: "127.0.0.1:0",
    messageBytesMax,
    tls,
    handler,
    authorize: (token) => token === "t",
    onFault: console.error,
  });
  try {
    await run(async (clientTls, serverName) => {
      const client = connectWorkerOverGrpc({ messageBytesMax, tls: clientTls, serverName })(server.address, () => "t");
      try {
        return await client.processBatch(BATCH, 5_000);
      } finally {
        client.close();
      }
    }, Number(server.address.split(":")[1]));
  } finally {
    await server.stop(1_000);
  }
}

const works = { results: [{ kind: "valid" }] };
const broken = { name: "TransportError", reason: "broken" };

Deno.test("tls: a client that trusts the authority is served, any other fails", async () => {
  await using authority = await TestAuthority.create("one");
  await using other = await TestAuthority.create("two");
  const { certificate, privateKey } = await authority.issue("IP:127.0.0.1");
  await withServer(new TlsSource({ certificate, privateKey }), async (call) => {
    assert.deepEqual(await call(new TlsSource({ authority: authority.certificate })), works);
    await assert.rejects(call(new TlsSource({ authority: other.certificate })), broken);
    await assert.rejects(call(), broken);
  });
});

Deno.test("tls: the certificate must be for the host that is dialled, or for the name that is expected", async () => {
  await using authority = await TestAuthority.create("one");
  const trust = new TlsSource({ authority: authority.certificate });
  const { certificate, privateKey } = await authority.issue("DNS:proc-worker");
  await withServer(new TlsSource({ certificate, privateKey }), async (call) => {
    await assert.rejects(call(trust), broken);
    await assert.rejects(call(trust, "somebody-else"), broken);
    assert.deepEqual(await call(trust, "proc-worker"), works);
  });
});

Deno.test("tls: with an authority, a server lets in only callers with a certificate of it", async () => {
  await using authority = await TestAuthority.create("one");
  await using other = await TestAuthority.create("two");
  const own = await authority.issue("IP:127.0.0.1");
  const foreign = await other.issue("IP:127.0.0.1");
  await withServer(new TlsSource(own), async (call) => {
    assert.deepEqual(await call(new TlsSource(await authority.issue("DNS:main-worker"))), works);
    await assert.rejects(call(new TlsSource({ authority: authority.certificate })), broken);
    await assert.rejects(call(new TlsSource({ ...foreign, authority: authority.certificate })), broken);
    await assert.rejects(call(), broken);
  });
});

/** The certificate that a server shows. */
function shown(port: number, material: TlsMaterial): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({
      host: "127.0.0.1",
      port,
      ca: material.authority,
      cert: material.certificate,
      key: material.privateKey,
      ALPNProtocols: ["h2"],
    }, () => {
      resolve(String(socket.getPeerCertificate().subject.CN));
      socket.destroy();
    });
    socket.once("error", reject);
  });
}

Deno.test("tls: what replaces a certificate is used by the next connection, on both sides", async () => {
  await using authority = await TestAuthority.create("one");
  await using next = await TestAuthority.create("two");
  const server = new TlsSource(await authority.issue("IP:127.0.0.1"));
  const client = new TlsSource(await authority.issue("DNS:main-worker"));
  await withServer(server, async (call, port) => {
    assert.deepEqual(await call(client), works);
    assert.equal(await shown(port, client.material), "one-0");
    server.replace(await authority.issue("IP:127.0.0.1"));
    assert.equal(await shown(port, client.material), "one-2");
    assert.deepEqual(await call(client), works);
    server.replace(await next.issue("IP:127.0.0.1"));
    await assert.rejects(call(client), broken);
    client.replace(await next.issue("DNS:main-worker"));
    assert.deepEqual(await call(client), works);
  });
});

Deno.test("tls: material that cannot work is refused with a reason and changes nothing", async () => {
  await using authority = await TestAuthority.create("one");
  const one = await authority.issue("IP:127.0.0.1");
  const two = await authority.issue("IP:127.0.0.1");
  const bad: [TlsMaterial, RegExp][] = [
    [{}, /neither/],
    [{ certificate: one.certificate }, /together/],
    [{ privateKey: one.privateKey }, /together/],
    [{ ...one, privateKey: two.privateKey }, /cannot be used/],
    [{ ...one, certificate: "no PEM" }, /cannot be used/],
    [{ ...one, privateKey: "no PEM" }, /cannot be used/],
    [{ ...one, authority: "no PEM" }, /cannot be used/],
    [await authority.issue("IP:127.0.0.1", "secp256k1"), /cannot be used/],
  ];
  const source = new TlsSource(one);
  for (const [material, message] of bad) {
    assert.throws(() => new TlsSource(material), (error) => error instanceof TlsError && message.test(error.message));
    assert.throws(() => source.replace(material), TlsError);
  }
  assert.throws(() => source.replace({ certificate: one.certificate, privateKey: one.privateKey }), /cannot be added/);
  assert.equal(source.material, one);
});

Deno.test("tls: files that change are used, half-written ones are reported once and leave what works", async () => {
  await using authority = await TestAuthority.create("one");
  const one = await authority.issue("IP:127.0.0.1");
  const two = await authority.issue("IP:127.0.0.1");
  const files = new Map([["cert", one.certificate], ["key", one.privateKey], ["ca", one.authority]]);
  const log: string[] = [];
  const timers = new Map<number, () => unknown>();
  let set = 0;
  const clock: Clock = {
    now: () => 0,
    monotonic: () => 0,
    setTimer: (fn) => (timers.set(++set, fn), set),
    clearTimer: (timer) => timers.delete(timer as number),
  };
  const tick = async () => {
    const [[timer, fn]] = [...timers] as [[number, () => unknown]];
    timers.delete(timer);
    await fn();
  };
  const read = (path: string) => {
    const text = files.get(path);
    return text === undefined ? Promise.reject(new Deno.errors.NotFound("no such file")) : Promise.resolve(text);
  };
  const parts = {
    clock,
    read,
    onReload: () => log.push("reload"),
    onFailure: (error: TlsError) => log.push(error.message.split(":")[0]!),
  };
  await assert.rejects(openTlsFiles({ certificate: "nowhere", privateKey: "key" }, parts), TlsError);
  const opened = await openTlsFiles({ certificate: "cert", privateKey: "key", authority: "ca" }, parts);
  await tick();
  assert.deepEqual(log, []);
  files.set("cert", two.certificate);
  await tick();
  await tick();
  assert.equal(opened.source.material.certificate, one.certificate);
  files.delete("key");
  await tick();
  files.set("key", two.privateKey);
  await tick();
  assert.deepEqual(opened.source.material, two);
  assert.deepEqual(log, ["the TLS files cannot be used", "key cannot be read", "reload"]);
  opened.close();
  assert.equal(timers.size, 0);
});
