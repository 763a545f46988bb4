/** @jsxRuntime automatic */
/** @jsxImportSource preact */
/// <reference lib="dom" />
/**
 * Edits a JSON Schema: checks it against the documents that are there before it is saved, and says which would not pass.
 */
import { useEffect, useRef, useState } from "preact/hooks";
import { ApiError, explain } from "../api/errors.ts";
import type { SchemaCheck } from "../api/types.ts";
import { useApp } from "../app/app.ts";
import { useLazyModule } from "../app/lazy_module.ts";
import { useLeaveGuard } from "../app/leave_guard.ts";
import { href } from "../app/router.ts";
import { useSaveKey } from "../app/save_key.ts";
import { Button } from "../components/button.tsx";
import { EditorHost } from "../components/editor_host.tsx";
import { Field } from "../components/field.tsx";
import { Icon } from "../components/icons.tsx";
import { Menu, type MenuItem } from "../components/menu.tsx";
import { Name } from "../components/name.tsx";
import { Note } from "../components/states.tsx";
import type { JsonEditor } from "../editor/json_editor.ts";
import { formatJson, isCompact, isJson } from "../format/json_text.ts";
import { count, counted } from "../format/numbers.ts";
import { visible } from "../format/visible.ts";
import { CheckResult } from "./check_result.tsx";

const loadMetaSchema = () => import("../editor/meta_schema.ts");

/** A check reads every document of the schema. */
const CHECK_MS_MAX = 10 * 60_000;

interface SchemaEditorProps {
  /** `undefined`: a new one, whose name is asked for. */
  readonly id: string | undefined;
  readonly text: string;
  readonly entities: number | null;
  /** Whether it exists already as a template. */
  readonly stored: boolean;
}

/** The pane on the right of the schemas page. */
export function SchemaEditor({ id, text: initial, entities, stored }: SchemaEditorProps) {
  const app = useApp();
  const writable = app.session.may("write");
  const mayCheck = app.session.may("admin");
  const [original, setOriginal] = useState(() => isCompact(initial) ? formatJson(initial) : initial);
  const [name, setName] = useState(id ?? "");
  const [text, setText] = useState(original);
  const [busy, setBusy] = useState<"check" | "save" | null>(null);
  const [nameError, setNameError] = useState<string>();
  const [failure, setFailure] = useState<string | null>(null);
  const [check, setCheck] = useState<SchemaCheck | null>(null);
  const editor = useRef<JsonEditor | null>(null);
  // Where it is missing nothing but its suggestions are.
  const { part: meta } = useLazyModule(loadMetaSchema);
  useEffect(() => {
    if (meta) editor.current?.setSchema(meta.META_SCHEMA);
  }, [meta]);
  const dirty = text !== original;
  useLeaveGuard(dirty, "Discard your changes to this schema?");

  const current = () => editor.current?.text() ?? text;
  const askServer = (schema: string): Promise<SchemaCheck> =>
    app.client.json(`/admin/schemas/${encodeURIComponent(schema)}/check`, {
      method: "POST",
      body: current(),
      headers: { "Content-Type": "application/json" },
      timeoutMs: CHECK_MS_MAX,
    });
  const wellFormed = (): boolean => {
    if (isJson(current())) return true;
    setFailure("This is not JSON yet. The red line shows where it breaks off.");
    return false;
  };

  const runCheck = async () => {
    setFailure(null);
    if (!wellFormed()) return;
    setBusy("check");
    try {
      setCheck(await askServer(id ?? name.trim()));
    } catch (error) {
      setCheck(null);
      setFailure(explain(error));
    } finally {
      setBusy(null);
    }
  };

  const save = async () => {
    if (!writable || busy || (stored && !dirty)) return;
    const target = (id ?? name).trim();
    setNameError(target === "" ? "Name it: documents are written under this name." : undefined);
    setFailure(null);
    if (target === "" || !wellFormed()) return;
    if (id === undefined && app.schemas.list.value?.some((schema) => schema.id === target && schema.hasTemplate)) {
      return setNameError("There is a schema of this name. Open it in the list to edit it.");
    }
    setBusy("save");
    try {
      if (mayCheck && (entities === null || entities > 0 || id === undefined)) {
        const result = await askServer(target);
        setCheck(result);
        const sure = result.failing === 0 || await app.questions.ask({
          title: `${count(result.failing)} of ${counted(result.checked, "document")} would not pass`,
          text: "They stay and can be read. Their next write must follow the new rules. Save anyway?",
          confirm: "Save anyway",
        });
        if (!sure) return setBusy(null);
      }
      const saved = current();
      await app.client.request(`/schema/${encodeURIComponent(target)}`, {
        method: "PUT",
        body: saved,
        headers: { "Content-Type": "application/json" },
      });
      setOriginal(saved);
      setText(saved);
      setBusy(null);
      app.router.guard = null;
      app.toasts.show("done", `The schema ${target} is in force.`);
      await app.schemas.load();
      if (id === undefined) await app.router.go(href("schemas", { id: target }));
    } catch (error) {
      setBusy(null);
      if (error instanceof ApiError && error.code === "invalid_schema_id") setNameError(explain(error));
      else setFailure(explain(error));
      if (error instanceof ApiError) editor.current?.showViolations(error.details.filter((detail) => "path" in detail));
    }
  };

  useSaveKey(save);

  const remove = async () => {
    if (id === undefined) return;
    const sure = await app.questions.ask({
      title: `Delete the schema ${id}?`,
      text: entities
        ? `Its ${counted(entities, "document")} stay. From then on, any JSON is taken under this name.`
        : "From then on, any JSON is taken under this name.",
      confirm: "Delete",
      danger: true,
    });
    if (!sure) return;
    try {
      const before = original;
      await app.client.request(`/schema/${encodeURIComponent(id)}`, { method: "DELETE" });
      app.router.guard = null;
      setText(original);
      app.toasts.show("note", `The schema ${id} is deleted.`, {
        label: "Undo",
        run: async () => {
          try {
            await app.client.request(`/schema/${encodeURIComponent(id)}`, {
              method: "PUT",
              body: before,
              headers: { "Content-Type": "application/json" },
            });
            await app.schemas.load();
            app.router.go(href("schemas", { id }));
          } catch (error) {
            app.report(error);
          }
        },
      });
      await app.router.go(href("schemas"));
      await app.schemas.load();
    } catch (error) {
      app.report(error);
    }
  };

  const actions: MenuItem[] = [
    { label: "Lay out the JSON", icon: "format", run: () => editor.current?.setText(formatJson(current()), true) },
    ...(stored ? [{ label: "Delete the schema", icon: "trash" as const, danger: true, run: remove }] : []),
  ];
  return (
    <section class="pane document-pane" aria-label={id === undefined ? "New schema" : `Schema ${id}`}>
      <header class="pane-head">
        <a class="icon-button only-narrow" href={href("schemas")} aria-label="Back to schemas">
          <Icon name="back" />
        </a>
        <div class="pane-title">
          <h2 class={id === undefined ? "words" : undefined} title={id && visible(id)}>
            {id === undefined ? "New schema" : <Name value={id} />}
          </h2>
          <p class="pane-sub">
            {id === undefined
              ? "Rules for the documents of one name"
              : stored
              ? (
                <a href={href("documents", { schema: id })}>
                  {entities === null ? "Documents" : counted(entities, "document")}
                </a>
              )
              : "No rules yet: any JSON is taken"}
          </p>
        </div>
        {mayCheck && writable && id !== undefined && (
          <Button busy={busy === "check"} disabled={busy !== null} onClick={runCheck}>Check</Button>
        )}
        {writable && (
          <Button kind="primary" busy={busy === "save"} disabled={stored && !dirty} title="Ctrl+S" onClick={save}>
            {stored ? "Save" : "Create"}
          </Button>
        )}
        {writable && <Menu label="More for this schema" items={actions} />}
      </header>
      {id === undefined && (
        <div class="new-fields">
          <Field
            label="Name"
            value={name}
            onInput={setName}
            placeholder="users"
            error={nameError}
            mono
            autofocus
            maxLength={64}
            hint="Documents are written to /entity/<name>"
          />
        </div>
      )}
      <div class="pane-notes" aria-live="polite">
        {failure && (
          <Note kind="danger">
            <p>{failure}</p>
          </Note>
        )}
        {check && id !== undefined && <CheckResult schema={id} check={check} />}
      </div>
      <EditorHost
        label={id === undefined ? "The new JSON Schema" : `JSON Schema of ${id}`}
        text={original}
        readOnly={!writable}
        onChange={(value) => {
          setText(value);
          setFailure(null);
          setCheck(null);
        }}
        onReady={(ready) => {
          editor.current = ready;
          if (meta) ready.setSchema(meta.META_SCHEMA);
        }}
      />
    </section>
  );
}
