/** @jsxRuntime automatic */
/** @jsxImportSource preact */
/// <reference lib="dom" />
/** One document: read, edit, save under the version that was read, delete with a way back. */
import { useEffect, useRef, useState } from "preact/hooks";
import { entityPath, type StoredDocument } from "../api/client.ts";
import { ApiError, explain } from "../api/errors.ts";
import type { Violation, WatchData } from "../api/types.ts";
import { useApp } from "../app/app.ts";
import { useLeaveGuard } from "../app/leave_guard.ts";
import { href } from "../app/router.ts";
import { useSaveKey } from "../app/save_key.ts";
import { Button, copyText } from "../components/button.tsx";
import { EditorHost } from "../components/editor_host.tsx";
import { Icon } from "../components/icons.tsx";
import { Menu, type MenuItem } from "../components/menu.tsx";
import { Name } from "../components/name.tsx";
import { Empty, Note, Problem, Skeleton } from "../components/states.tsx";
import { Ago } from "../components/time.tsx";
import type { JsonEditor } from "../editor/json_editor.ts";
import { curlGet, curlPut } from "../format/curl.ts";
import { compactJson, formatJson, isCompact } from "../format/json_text.ts";
import { bytes } from "../format/numbers.ts";
import { visible } from "../format/visible.ts";
import { Conflict } from "./conflict.tsx";
import type { Feed } from "./feed.ts";
import { loadTemplate } from "./template.ts";
import { Violations } from "./violations.tsx";

/** What was read, and how it is shown: one-line JSON is laid out to read it, and stored on one line again. */
interface Base extends StoredDocument {
  readonly compact: boolean;
  readonly shown: string;
}

function baseOf(stored: StoredDocument): Base {
  const compact = isCompact(stored.text);
  return { ...stored, compact, shown: compact ? formatJson(stored.text) : stored.text.replace(/\r\n?/g, "\n") };
}

interface DocumentPaneProps {
  readonly schema: string;
  readonly documentKey: string;
  readonly feed: Feed;
}

type State =
  | { readonly kind: "loading" }
  | { readonly kind: "missing" }
  | { readonly kind: "failed"; readonly error: unknown }
  | { readonly kind: "open"; readonly base: Base };

/** The document at a key; says so when there is none. */
export function DocumentPane({ schema, documentKey, feed }: DocumentPaneProps) {
  const app = useApp();
  const [state, setState] = useState<State>({ kind: "loading" });
  const load = async () => {
    try {
      setState({ kind: "open", base: baseOf(await app.client.getDocument(schema, documentKey)) });
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) setState({ kind: "missing" });
      else setState({ kind: "failed", error });
    }
  };
  useEffect(() => {
    load();
  }, []);
  useEffect(() => {
    if (state.kind === "open") return;
    return feed.listen((kind, data) => {
      if (kind === "put" && data.key === documentKey) load();
    });
  }, [feed, state.kind]);
  const generation = app.connection.generation.value;
  useEffect(() => {
    if (generation > 0 && state.kind === "failed") load();
  }, [generation]);

  if (state.kind === "open") {
    return (
      <OpenDocument
        schema={schema}
        documentKey={documentKey}
        feed={feed}
        initial={state.base}
        onGone={() => setState({ kind: "missing" })}
      />
    );
  }
  return (
    <section class="pane document-pane" aria-label={`Document ${visible(documentKey)}`}>
      <header class="pane-head">
        <BackToKeys schema={schema} />
        <div class="pane-title">
          <h2 title={visible(documentKey)}>
            <Name value={documentKey} />
          </h2>
        </div>
      </header>
      {state.kind === "loading" && <Skeleton lines={8} label="Loading the document" />}
      {state.kind === "failed" && <Problem error={state.error} retry={load} />}
      {state.kind === "missing" && (
        <Empty icon="documents" title="There is no such document">
          <p>It was deleted, or it never existed. When somebody writes it, it opens here.</p>
          {app.session.may("write") && (
            <a class="button" href={href("documents", { schema, new: documentKey })}>
              <Icon name="plus" size={16} />
              <span>Create it</span>
            </a>
          )}
        </Empty>
      )}
    </section>
  );
}

function BackToKeys({ schema }: { schema: string }) {
  const { router } = useApp();
  const { prefix } = router.route.value.query;
  return (
    <a class="icon-button only-narrow" href={href("documents", { schema, prefix })} aria-label="Back to keys">
      <Icon name="back" />
    </a>
  );
}

interface OpenProps extends DocumentPaneProps {
  readonly initial: Base;
  readonly onGone: () => void;
}

function OpenDocument({ schema, documentKey, feed, initial, onGone }: OpenProps) {
  const app = useApp();
  const writable = app.session.may("write");
  const [base, setBase] = useState(initial);
  const [text, setText] = useState(initial.shown);
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState<string | null>(null);
  const [violations, setViolations] = useState<readonly Violation[]>([]);
  /** Somebody else's write that is newer than what is shown. */
  const [newer, setNewer] = useState<{ kind: "put" | "delete"; version: number } | null>(null);
  const [conflict, setConflict] = useState<{ theirs: StoredDocument | null } | null>(null);
  const [updatedByOthers, setUpdatedByOthers] = useState(false);
  const editor = useRef<JsonEditor | null>(null);
  const saving = useRef(false);
  const missed = useRef<["put" | "delete", WatchData] | null>(null);
  const dirty = text !== base.shown;
  const live = useRef({ base, dirty });
  live.current = { base, dirty };

  useLeaveGuard(
    dirty,
    "Discard your changes?",
    (to) => to.page === "documents" && to.query.schema === schema && to.query.key === documentKey,
  );

  const show = (next: Base) => {
    setBase(next);
    setText(next.shown);
    setViolations([]);
    setNewer(null);
    setConflict(null);
    setFailure(null);
    if (editor.current && editor.current.text() !== next.shown) editor.current.setText(next.shown);
  };
  const refresh = async () => {
    try {
      const stored = await app.client.getDocument(schema, documentKey);
      if (stored.etag === live.current.base.etag) return;
      if (live.current.dirty) setNewer({ kind: "put", version: stored.version });
      else {
        show(baseOf(stored));
        setUpdatedByOthers(true);
      }
    } catch (error) {
      if (!(error instanceof ApiError && error.status === 404)) return;
      if (live.current.dirty) setNewer({ kind: "delete", version: 0 });
      else onGone();
    }
  };
  const heard = (kind: "put" | "delete", data: WatchData) => {
    if (data.key !== documentKey || data.etag === live.current.base.etag) return;
    if (saving.current) missed.current = [kind, data];
    else refresh();
  };
  useEffect(() => feed.listen(heard), [feed]);
  const resets = feed.resets.value;
  const generation = app.connection.generation.value;
  useEffect(() => {
    if (resets + generation > 0) refresh();
  }, [resets, generation]);
  useEffect(() => {
    const known = app.schemas.list.value?.find(({ id }) => id === schema);
    if (!known?.hasTemplate) return;
    loadTemplate(app.client, schema).then((template) => editor.current?.setSchema(template), () => undefined);
  }, [schema]);

  const put = async (shown: string, ifMatch: string | null) => {
    const stored = base.compact ? compactJson(shown) : shown.trim();
    saving.current = true;
    setBusy(true);
    setFailure(null);
    setViolations([]);
    setUpdatedByOthers(false);
    try {
      const { etag, version } = await app.client.putDocument(schema, documentKey, stored, ifMatch);
      const size = new TextEncoder().encode(stored).length;
      show({ text: stored, etag, version, size, updatedAtMs: Date.now(), compact: base.compact, shown });
      app.toasts.show("done", `Saved as version ${version}.`);
    } catch (error) {
      if (error instanceof ApiError && error.code === "schema_violation") {
        setConflict(null);
        setViolations(error.details);
        setTimeout(() => editor.current?.showViolations(error.details));
      } else if (error instanceof ApiError && error.code === "version_mismatch") await compare();
      else setFailure(explain(error));
    } finally {
      saving.current = false;
      setBusy(false);
      const event = missed.current;
      missed.current = null;
      if (event) setTimeout(() => heard(...event));
    }
  };
  const compare = async () => {
    try {
      setConflict({ theirs: await app.client.getDocument(schema, documentKey) });
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) setConflict({ theirs: null });
      else setFailure(explain(error));
    }
  };
  const save = () => {
    if (writable && dirty && !busy && !conflict) put(editor.current?.text() ?? text, base.etag);
  };
  useSaveKey(save);

  const remove = async () => {
    try {
      saving.current = true;
      await app.client.deleteDocument(schema, documentKey, base.etag);
      setText(base.shown);
      app.router.guard = null;
      const { prefix } = app.router.route.value.query;
      app.toasts.show("note", `${visible(documentKey)} is deleted.`, {
        label: "Undo",
        run: async () => {
          try {
            await app.client.putDocument(schema, documentKey, base.text, null);
            app.toasts.show("done", `${visible(documentKey)} is back, as version 1.`);
            app.router.go(href("documents", { schema, prefix, key: documentKey }));
          } catch (error) {
            const taken = error instanceof ApiError && error.code === "version_mismatch";
            app.report(taken ? new Error("Somebody has written that key meanwhile. It was left as it is.") : error);
          }
        },
      });
      await app.router.go(href("documents", { schema, prefix }));
    } catch (error) {
      saving.current = false;
      if (error instanceof ApiError && error.code === "version_mismatch") await compare();
      else app.report(error);
    }
  };
  const copyCommand = async (command: string, what: string) => {
    if (await copyText(command)) {
      app.toasts.show("done", `The command that ${what} is on the clipboard. Put your key into $DELTADB_KEY.`);
    } else app.toasts.show("failed", "The browser did not allow the clipboard.");
  };
  const url = location.origin + entityPath(schema, documentKey);
  const actions: MenuItem[] = [
    { label: "Copy as curl: read", icon: "terminal", run: () => copyCommand(curlGet(url), "reads this document") },
    ...(writable
      ? [
        {
          label: "Copy as curl: save",
          icon: "terminal" as const,
          run: () => copyCommand(curlPut(url, editor.current?.text() ?? text, base.etag), "saves this document"),
        },
      ]
      : []),
    { label: "Copy the JSON", icon: "copy", run: () => copyText(editor.current?.text() ?? text) },
    ...(writable
      ? [
        {
          label: "Lay out the JSON",
          icon: "format" as const,
          run: () => editor.current?.setText(formatJson(editor.current.text()), true),
        },
        { label: "Delete", icon: "trash" as const, danger: true, run: remove },
      ]
      : []),
  ];

  return (
    <section class="pane document-pane" aria-label={`Document ${visible(documentKey)}`}>
      <header class="pane-head">
        <BackToKeys schema={schema} />
        <div class="pane-title">
          <h2 title={visible(documentKey)}>
            <Name value={documentKey} />
          </h2>
          <p class="pane-sub">
            <span>Version {base.version}</span>
            <span>{bytes(base.size)}</span>
            {base.updatedAtMs !== null && <Ago ms={base.updatedAtMs} />}
            {base.compact && <span title="It is stored on one line and stays so">compact</span>}
          </p>
        </div>
        {writable && dirty && !conflict && (
          <Button
            icon="undo"
            title="Back to what is stored"
            onClick={() => show(base)}
          >
            Revert
          </Button>
        )}
        {writable && !conflict && (
          <Button kind="primary" busy={busy} disabled={!dirty} title="Ctrl+S" onClick={save}>Save</Button>
        )}
        <Menu label="More for this document" items={actions} />
      </header>
      <div class="pane-notes" aria-live="polite">
        {failure && (
          <Note kind="danger">
            <p>{failure}</p>
          </Note>
        )}
        {newer && !conflict && (
          <Note kind="warn">
            <p>
              {newer.kind === "put"
                ? `Somebody else has just saved version ${newer.version}. Yours is not saved yet.`
                : "Somebody else has just deleted this document. Yours is not saved yet."}
            </p>
            <Button onClick={compare}>Compare</Button>
          </Note>
        )}
        {updatedByOthers && !dirty && (
          <Note>
            <p>Updated by somebody else just now. You see version {base.version}.</p>
          </Note>
        )}
      </div>
      {conflict && (
        <Conflict
          theirs={conflict.theirs}
          mine={text}
          busy={busy}
          onTakeTheirs={() => conflict.theirs ? show(baseOf(conflict.theirs)) : (app.router.guard = null, onGone())}
          onSaveMine={(mine) => {
            setText(mine);
            editor.current?.setText(mine);
            put(mine, conflict.theirs?.etag ?? null);
          }}
          onBack={(mine) => {
            if (conflict.theirs) setBase({ ...baseOf(conflict.theirs), compact: base.compact });
            setConflict(null);
            setNewer(null);
            editor.current?.setText(mine);
          }}
        />
      )}
      <div class={conflict ? "editor-slot gone" : "editor-slot"}>
        <EditorHost
          label={`JSON of ${visible(documentKey)}`}
          text={initial.shown}
          readOnly={!writable}
          onChange={(value) => {
            setText(value);
            setViolations([]);
            setUpdatedByOthers(false);
          }}
          onReady={(ready) => {
            editor.current = ready;
          }}
        />
      </div>
      <Violations list={violations} onReveal={(path) => editor.current?.reveal(path)} />
    </section>
  );
}
