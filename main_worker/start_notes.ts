/** What an operator must be told when the main worker starts: dev mode, a key that will be gone, what it cannot read. */
import type { MainWorkerConfig } from "../shared/config/main_worker.ts";
import type { Logger } from "../shared/logging/logger.ts";
import { type Clock, sleep } from "../shared/seams/clock.ts";
import type { Lister } from "./front/dispatch/lister.ts";

const PAGE = 1_000;
const RETRY_MS = 500;

/** The warnings of a start. A generated key is shown here, once, and nowhere else; it goes to the terminal, not into the log. */
export function tellOperator(
  config: MainWorkerConfig,
  log: Logger,
  generated: { readonly keyId: string; readonly hex: string } | undefined,
): void {
  for (const warning of config.warnings) log.warn("configuration", { message: warning });
  if (config.adminKey === undefined) {
    log.warn("dev_mode", {
      message: "there is no -admin-key: anybody who reaches the REST address may read and write",
    });
  }
  if (generated === undefined) return;
  log.warn("generated_master_key", {
    message:
      "there is no -master-key: one was made for this start. Without it, what is stored now cannot be read later",
  });
  console.error(
    `\nA master key was made for this start. Keep it, or everything stored from now on is lost with this process:\n` +
      `  KEY_ID=${generated.keyId} MASTER_KEY=${generated.hex}\n`,
  );
}

/** What {@linkcode tellUnreadable} looks at. */
export interface UnreadableParts {
  readonly lister: Lister;
  /** Whether the key of this id is held. */
  holds(keyId: string): boolean;
  readonly clock: Clock;
  readonly log: Logger;
  readonly stopping: AbortSignal;
}

/**
 * Says how many entities of the store a generated key cannot read, as soon as there is a worker to list them. A bucket's
 * listing does not tell the keys: there, it says how many there are at most.
 */
export async function tellUnreadable(parts: UnreadableParts): Promise<void> {
  const { lister, clock, log, stopping } = parts;
  let foreign = 0;
  let unknown = 0;
  for (let after = ""; !stopping.aborted;) {
    const page = await lister.page({ prefix: "", after, limit: PAGE, want: "meta" });
    if (page.kind === "failed") {
      await sleep(clock, RETRY_MS, stopping).catch(() => {});
      continue;
    }
    for (const { keyId } of page.items) {
      if (keyId === "") unknown += 1;
      else if (!parts.holds(keyId)) foreign += 1;
    }
    after = page.items.at(-1)?.name ?? "";
    if (!page.more || after === "") break;
  }
  const count = foreign + unknown;
  if (stopping.aborted || count === 0) return;
  const many = count === 1 ? "1 entity" : `${count} entities`;
  log.warn("unreadable_entities", {
    count,
    message: unknown === 0
      ? `${many} of this store cannot be read: another key is needed, by -master-key or -old-master-keys`
      : `up to ${many} of this store cannot be read without the key of before, by -master-key or -old-master-keys`,
  });
}
