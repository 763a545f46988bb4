import assert from "assert";
import { recordingLogger } from "../logging/logger.ts";
import { keepListening } from "./listener.ts";

/** Servers of which a test can say that their accepting has failed. */
class FakeServers {
  readonly opened: { readonly port: number; readonly signal: AbortSignal; fail(error: Error): void }[] = [];
  refusals = 0;
  shut = 0;

  readonly open = (port: number, signal: AbortSignal): Deno.HttpServer<Deno.NetAddr> => {
    if (this.opened.length > 0 && this.refusals-- > 0) throw new Deno.errors.AddrInUse("in use");
    const { promise: finished, reject } = Promise.withResolvers<void>();
    this.opened.push({ port, signal, fail: reject });
    const shutdown = () => Promise.resolve(void this.shut++);
    return { finished, addr: { port: port || 4711 }, shutdown } as unknown as Deno.HttpServer<Deno.NetAddr>;
  };

  async reopened(count: number): Promise<void> {
    while (this.opened.length < count) await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

Deno.test("a listener that failed cuts its connections and listens again on its port, however often that takes", async () => {
  const servers = new FakeServers();
  const log = recordingLogger();
  const listener = keepListening(0, servers.open, log);
  assert.equal(listener.port, 4711);
  servers.refusals = 2;
  servers.opened[0]!.fail(new Error("Too many open files (os error 24)"));
  await servers.reopened(2);
  assert.deepEqual(servers.opened.map(({ port, signal }) => [port, signal.aborted]), [[0, true], [4711, false]]);
  servers.opened[1]!.fail(new Error("Too many open files (os error 24)"));
  await servers.reopened(3);
  assert.equal(log.of("listener_failed").length, 2);
  await listener.shutdown();
  assert.equal(servers.shut, 1);
});

Deno.test("a listener that is shut down while it waits does not listen again", async () => {
  const servers = new FakeServers();
  const listener = keepListening(0, servers.open, recordingLogger());
  servers.opened[0]!.fail(new Error("Too many open files (os error 24)"));
  await new Promise((resolve) => setTimeout(resolve, 0));
  await listener.shutdown();
  await new Promise((resolve) => setTimeout(resolve, 200));
  assert.equal(servers.opened.length, 1);
});
