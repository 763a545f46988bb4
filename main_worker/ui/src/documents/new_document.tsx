/** @jsxRuntime automatic */
/** @jsxImportSource preact */
/// <reference lib="dom" />
/** Creates a document: a key, the JSON, and where there is no schema yet, its name. */
import { useRef, useState } from "preact/hooks";
import { ApiError, explain } from "../api/errors.ts";
import type { Violation } from "../api/types.ts";
import { useApp } from "../app/app.ts";
import { useLeaveGuard } from "../app/leave_guard.ts";
import { href } from "../app/router.ts";
import { useSaveKey } from "../app/save_key.ts";
import { Button } from "../components/button.tsx";
import { EditorHost } from "../components/editor_host.tsx";
import { Field } from "../components/field.tsx";
import { Icon } from "../components/icons.tsx";
import { Name } from "../components/name.tsx";
import type { JsonEditor } from "../editor/json_editor.ts";
import { scaffold } from "../editor/json_schema.ts";
import { hasUnseen, visible } from "../format/visible.ts";
import { loadTemplate } from "./template.ts";
import { Violations } from "./violations.tsx";

const EXAMPLE = '{\n  "title": "Hello",\n  "tags": ["first", "try"]\n}';

/** The form. Without `schema` it asks for one. */
export function NewDocument({ schema, presetKey }: { schema: string | undefined; presetKey: string }) {
  const app = useApp();
  const [schemaId, setSchemaId] = useState(schema ?? "");
  const [key, setKey] = useState(presetKey);
  const [text, setText] = useState(EXAMPLE);
  const [busy, setBusy] = useState(false);
  const [errors, setErrors] = useState<{ schema?: string; key?: string; body?: string }>({});
  const [violations, setViolations] = useState<readonly Violation[]>([]);
  const editor = useRef<JsonEditor | null>(null);
  const [dirty, setDirty] = useState(false);

  const prepare = async () => {
    if (schema === undefined || !app.schemas.list.value?.some(({ id, hasTemplate }) => id === schema && hasTemplate)) {
      return;
    }
    const template = await loadTemplate(app.client, schema).catch(() => undefined);
    if (template === undefined || !editor.current) return;
    editor.current.setSchema(template);
    if (editor.current.text() === EXAMPLE) {
      editor.current.setText(scaffold(template));
      setDirty(false);
    }
  };
  useLeaveGuard(dirty, "Discard this document?");

  const create = async () => {
    if (busy) return;
    const id = schemaId.trim();
    const missing = {
      ...(id === "" ? { schema: "Name the schema: notes, chat.v1, users…" } : {}),
      ...(key === "" ? { key: "Give it a key: the name that you will find it by." } : {}),
    };
    setErrors(missing);
    if (Object.keys(missing).length > 0) return;
    setBusy(true);
    setViolations([]);
    try {
      await app.client.putDocument(id, key, editor.current?.text() ?? text, null);
      setDirty(false);
      app.router.guard = null;
      app.toasts.show("done", `${visible(key)} is stored.`);
      await app.schemas.load();
      await app.router.go(href("documents", { schema: id, key }));
    } catch (error) {
      setBusy(false);
      if (!(error instanceof ApiError)) return app.report(error);
      if (error.code === "schema_violation") {
        setViolations(error.details);
        editor.current?.showViolations(error.details);
      } else if (error.code === "version_mismatch") {
        setErrors({ key: "There is a document with this key already. Choose another key, or open that one." });
      } else if (error.code === "invalid_key") setErrors({ key: explain(error) });
      else if (error.code === "invalid_schema_id") setErrors({ schema: explain(error) });
      else setErrors({ body: explain(error) });
    }
  };
  useSaveKey(create);

  return (
    <section class="pane document-pane" aria-label="New document">
      <header class="pane-head">
        {schema !== undefined && (
          <a class="icon-button only-narrow" href={href("documents", { schema })} aria-label="Back to keys">
            <Icon name="back" />
          </a>
        )}
        <div class="pane-title">
          <h2 class="words">New document</h2>
          {schema !== undefined && <p class="pane-sub">in {schema}</p>}
        </div>
        <Button kind="primary" busy={busy} onClick={create}>Create</Button>
      </header>
      <div class="new-fields">
        {schema === undefined && (
          <Field
            label="Schema"
            value={schemaId}
            onInput={setSchemaId}
            placeholder="notes"
            error={errors.schema}
            mono
            autofocus
            maxLength={64}
          />
        )}
        <Field
          label="Key"
          value={key}
          onInput={setKey}
          placeholder="my-first-note"
          error={errors.key}
          hint={hasUnseen(key) && (
            <>
              It has letters that cannot be seen, and they count: <Name value={key} />
            </>
          )}
          mono
          autofocus={schema !== undefined}
          maxLength={256}
        />
      </div>
      {errors.body && <p class="field-error pad" role="alert">{errors.body}</p>}
      <EditorHost
        label="JSON of the new document"
        text={EXAMPLE}
        onChange={(value) => {
          setDirty(true);
          setText(value);
          setViolations([]);
        }}
        onReady={(ready) => {
          editor.current = ready;
          prepare();
        }}
      />
      <Violations list={violations} onReveal={(path) => editor.current?.reveal(path)} />
    </section>
  );
}
