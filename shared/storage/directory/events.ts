/** What the directory engine tells whoever logs: things that an operator may have to know and no caller is told. */

/** An event of the engine; `message` is for people and holds no entity name. */
export interface StorageEvent {
  readonly kind:
    | "recovered"
    | "checkpoint_failed"
    | "checkpoint_recovered"
    | "log_failed"
    | "log_recovered"
    | "lock_content_damaged"
    | "released_unclean"
    | "cleanup_failed";
  readonly message: string;
  readonly partition?: number;
}

/** Receives events; must not throw. */
export type ReportEvent = (event: StorageEvent) => void;
