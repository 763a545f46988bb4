/** What an operator must be told when the main worker starts: dev mode, a key that will be gone, what it cannot read. */
import type { MainWorkerConfig } from "../shared/config/main_worker.ts";
import type { Logger } from "../shared/logging/logger.ts";
import { sleep, systemClock as clock } from "../shared/seams/clock.ts";
import type { Lister } from "./front/dispatch/lister.ts";

const PAGE = 1_000;
const RETRY_MS = 500;

/** The warnings of a start. A generated key is shown here, once, and nowhere else; it goes to the terminal, not into the log. */
export function tellOperator(config: MainWorkerConfig, log: Logger, generatedHex: string | undefined): void {
  for (const warning of config.warnings) log.warn("configuration", { message: warning });
  if (config.adminKey === undefined) {
    log.warn("dev_mode", {
      message: "there is no -admin-key: anybody who reaches the REST address may read and write",
    });
  }
  if (generatedHex === undefined) return;
  log.warn("generated_master_key", {
    message:
      "there is no -master-key: one was made for this start. Without it, what is stored now cannot be read later",
  });
  console.error(
    `\nA master key was made for this start. Keep it, or everything stored from now on is lost with this process:\n` +
      `  MASTER_KEY=${generatedHex}\n`,
  );
}

/** Says how many entities of the store a generated key cannot read, as soon as there is a worker to list them. */
export async function tellUnreadable(lister: Lister, keyId: string, log: Logger, stopping: AbortSignal): Promise<void> {
  let unreadable = 0;
  for (let after = ""; !stopping.aborted;) {
    const page = await lister.page({ prefix: "", after, limit: PAGE, want: "meta" });
    if (page.kind === "failed") {
      await sleep(clock, RETRY_MS, stopping).catch(() => {});
      continue;
    }
    unreadable += page.items.filter((item) => item.keyId !== keyId).length;
    after = page.items.at(-1)?.name ?? "";
    if (!page.more || after === "") break;
  }
  if (stopping.aborted || unreadable === 0) return;
  log.warn("unreadable_entities", {
    count: unreadable,
    message: `${unreadable} entities are encrypted with another key and cannot be read: start with their -master-key`,
  });
}
