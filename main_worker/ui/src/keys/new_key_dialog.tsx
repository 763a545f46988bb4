/** @jsxRuntime automatic */
/** @jsxImportSource preact */
/// <reference lib="dom" />
/** Asks what a new API key is for: a name, what it may do, where, and for how long. */
import { useEffect, useState } from "preact/hooks";
import { explain } from "../api/errors.ts";
import type { NewApiKeyJson, Permission } from "../api/types.ts";
import { useApp } from "../app/app.ts";
import { Button } from "../components/button.tsx";
import { Dialog } from "../components/dialog.tsx";
import { Check, Choice, Field } from "../components/field.tsx";

const PERMISSIONS: readonly (readonly [Permission, string, string])[] = [
  ["read", "Read", "Documents, lists, schemas, and changes as they happen"],
  ["write", "Write", "Create, change and delete documents and schemas"],
  ["admin", "Administer", "Everything, including keys, backup and restore"],
];

const EXPIRIES = [
  ["", "never"],
  ["24h", "in 24 hours"],
  ["7d", "in 7 days"],
  ["30d", "in 30 days"],
  ["90d", "in 90 days"],
  ["365d", "in a year"],
] as const;
type Expiry = typeof EXPIRIES[number][0];

interface NewKeyDialogProps {
  readonly onClose: () => void;
  readonly onCreated: (key: NewApiKeyJson) => void;
}

/** The form of a new key. */
export function NewKeyDialog({ onClose, onCreated }: NewKeyDialogProps) {
  const app = useApp();
  const [name, setName] = useState("");
  const [permissions, setPermissions] = useState<readonly Permission[]>(["read"]);
  const [schemas, setSchemas] = useState("");
  const [expiry, setExpiry] = useState<Expiry>("90d");
  const [errors, setErrors] = useState<{ name?: string; permissions?: string; form?: string }>({});
  const [busy, setBusy] = useState(false);
  useEffect(() => {
    if (!app.schemas.list.value) app.schemas.load();
  }, []);

  const patterns = schemas.split(/[\s,]+/).filter(Boolean);
  const toggle = (permission: Permission, on: boolean) =>
    setPermissions(on ? [...permissions, permission] : permissions.filter((other) => other !== permission));
  const create = async () => {
    const missing = {
      ...(name.trim() === "" ? { name: "Say who or what will use it." } : {}),
      ...(permissions.length === 0 ? { permissions: "Choose at least one." } : {}),
    };
    setErrors(missing);
    if (Object.keys(missing).length > 0) return;
    setBusy(true);
    try {
      const body = {
        name: name.trim(),
        permissions: PERMISSIONS.map(([permission]) => permission).filter((permission) =>
          permissions.includes(permission)
        ),
        ...(patterns.length > 0 ? { schemas: patterns } : {}),
        ...(expiry === "" ? {} : { expires_in: expiry }),
      };
      onCreated(await app.client.send<NewApiKeyJson>("POST", "/api/keys", body));
    } catch (error) {
      setErrors({ form: explain(error) });
      setBusy(false);
    }
  };

  return (
    <Dialog title="New API key" onClose={onClose}>
      <form
        class="form"
        onSubmit={(event) => {
          event.preventDefault();
          create();
        }}
      >
        <Field
          label="Name"
          value={name}
          onInput={setName}
          placeholder="chat-service"
          error={errors.name}
          autofocus
          maxLength={128}
        />
        <fieldset class="group">
          <legend>It may</legend>
          {PERMISSIONS.map(([permission, label, hint]) => (
            <Check
              key={permission}
              label={label}
              hint={hint}
              checked={permissions.includes(permission)}
              onChange={(on) => toggle(permission, on)}
            />
          ))}
          {errors.permissions && <p class="field-error" role="alert">{errors.permissions}</p>}
        </fieldset>
        <Field
          label="Only in these schemas"
          value={schemas}
          onInput={setSchemas}
          placeholder="all"
          mono
          hint="Several with commas; chat* stands for everything that starts with chat. Empty: all."
        />
        {(app.schemas.list.value ?? []).length > 0 && (
          <div class="chips" role="group" aria-label="Schemas to add">
            {app.schemas.list.value!.slice(0, 8).filter(({ id }) => !patterns.includes(id)).map(({ id }) => (
              <button
                key={id}
                type="button"
                class="chip"
                onClick={() => setSchemas([...patterns, id].join(", "))}
              >
                + {id}
              </button>
            ))}
          </div>
        )}
        <Choice label="It expires" value={expiry} options={EXPIRIES} onChange={setExpiry} />
        {errors.form && <p class="field-error" role="alert">{errors.form}</p>}
        <footer class="dialog-foot">
          <Button onClick={onClose}>Cancel</Button>
          <Button kind="primary" type="submit" busy={busy}>Create key</Button>
        </footer>
      </form>
    </Dialog>
  );
}
