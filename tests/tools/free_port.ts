/** Ports for programs that are told where to listen, and that come back where they were. */

/** Below what operating systems choose from, for connections and for listeners at port 0. */
const FIRST = 20_000;
const COUNT = 12_000;

/** A port that nobody listens at, and that nobody is given by chance: other tests run at the same time. */
export function freePort(): number {
  for (;;) {
    const port = FIRST + Math.floor(Math.random() * COUNT);
    try {
      Deno.listen({ hostname: "127.0.0.1", port }).close();
      return port;
    } catch (error) {
      if (!(error instanceof Deno.errors.AddrInUse)) throw error;
    }
  }
}
