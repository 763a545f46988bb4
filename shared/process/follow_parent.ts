/**
 * Ends this process when the one that started it is gone, so that a runner which was killed leaves nothing behind.
 * Loaded with `--preload` by the development runner; has an effect on import, which is its whole purpose.
 */

const CHECK_EVERY_MS = 250;
const parent = Deno.ppid;

// No signal tells a process that its parent has died: it is given to another one.
const timer = setInterval(() => {
  if (Deno.ppid === parent) return;
  console.error("the runner that started this program is gone: it ends too (nothing that was acknowledged is lost)");
  Deno.exit(1);
}, CHECK_EVERY_MS);
Deno.unrefTimer(timer);
