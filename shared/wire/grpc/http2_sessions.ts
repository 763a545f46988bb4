/**
 * HTTP/2 sessions that are destroyed only when nothing works on them any more.
 *
 * Deno (2.9.5 and 2.9.6 at least) frees the native memory of a session within `destroy`. A GOAWAY of the peer destroys
 * an idle session while nghttp2 is still handling that frame, so nghttp2 goes on in freed memory: sooner or later a
 * client that merely connects, calls and leaves ends the process (denoland/deno#36788). Nothing in JavaScript can
 * catch that.
 */
import http2 from "node:http2";
import { Duplex } from "node:stream";

type Destroy = (this: http2.Http2Session, ...args: Parameters<http2.Http2Session["destroy"]>) => void;

let deferred = false;

/** From now on, sessions of this thread are destroyed in a turn of the event loop of its own. May be called again. */
export function deferSessionDestruction(): void {
  if (deferred) return;
  deferred = true;
  // The class is not exported; a session that is connected to nothing leads to it.
  const nowhere = new Duplex({ read() {}, write: (_chunk, _encoding, done) => done() });
  const session = http2.connect("http://localhost", { createConnection: () => nowhere });
  const prototype = Object.getPrototypeOf(Object.getPrototypeOf(session)) as { destroy: Destroy };
  const destroy = prototype.destroy;
  session.destroy();
  prototype.destroy = function (...args) {
    if (!this.destroyed) setImmediate(() => destroy.apply(this, args));
  };
}
