/** @jsxRuntime automatic */
/** @jsxImportSource preact */
/// <reference lib="dom" />
/** API keys: who may do what, since when it was used, and a way to take it back. */
import { useEffect, useState } from "preact/hooks";
import type { ApiKeyJson, NewApiKeyJson } from "../api/types.ts";
import { useApp } from "../app/app.ts";
import { Button } from "../components/button.tsx";
import { Empty, Problem, Skeleton } from "../components/states.tsx";
import { Ago } from "../components/time.tsx";
import { day, fullTime, until } from "../format/time.ts";
import { NewKeyDialog } from "./new_key_dialog.tsx";
import { SecretDialog } from "./secret_dialog.tsx";

/** The page at `/keys`; with `?new` the form is open. */
export function KeysPage() {
  const app = useApp();
  const [keys, setKeys] = useState<readonly ApiKeyJson[] | null>(null);
  const [error, setError] = useState<unknown>(null);
  const [created, setCreated] = useState<NewApiKeyJson | null>(null);
  const creating = app.router.route.value.query.new !== undefined;
  const generation = app.connection.generation.value;
  const load = async () => {
    try {
      setKeys(await app.client.json<readonly ApiKeyJson[]>("/api/keys"));
      setError(null);
    } catch (failure) {
      setError(failure);
    }
  };
  useEffect(() => {
    load();
  }, [generation]);

  const revoke = async (key: ApiKeyJson) => {
    const sure = await app.questions.ask({
      title: `Revoke ${key.name}?`,
      text:
        "Whoever uses this key is refused from now on, and sessions that were made with it end. It cannot be brought back.",
      confirm: "Revoke",
      danger: true,
    });
    if (!sure) return;
    try {
      await app.client.request(`/api/keys/${encodeURIComponent(key.id)}`, { method: "DELETE" });
      app.toasts.show("done", `${key.name} is revoked.`);
      await load();
    } catch (failure) {
      app.report(failure);
    }
  };

  return (
    <div class="page">
      <header class="page-head">
        <div>
          <h1>API keys</h1>
          <p class="lead">One for each program or person, with no more than it needs.</p>
        </div>
        {keys?.length !== 0 && (
          <Button kind="primary" icon="plus" onClick={() => app.router.go("/keys?new=1")}>New key</Button>
        )}
      </header>
      {error !== null && <Problem error={error} retry={load} />}
      {!keys && error === null && <Skeleton lines={6} label="Loading keys" />}
      {keys?.length === 0 && (
        <Empty icon="keys" title="No key yet">
          <p>
            The admin key may do everything. Give your programs keys of their own: confined to reading or writing, to
            some schemas, to a time. You can revoke each without touching the others.
          </p>
          <Button kind="primary" icon="plus" onClick={() => app.router.go("/keys?new=1")}>New key</Button>
        </Empty>
      )}
      {keys && keys.length > 0 && (
        <div class="table-box" role="region" aria-label="API keys" tabIndex={0}>
          <table class="table stack">
            <thead>
              <tr>
                <th scope="col">Name</th>
                <th scope="col">May</th>
                <th scope="col">Schemas</th>
                <th scope="col">Last used</th>
                <th scope="col">Expires</th>
                <th scope="col">Created</th>
                <th scope="col">
                  <span class="off-screen">Actions</span>
                </th>
              </tr>
            </thead>
            <tbody>{keys.map((key) => <KeyRow key={key.id} apiKey={key} onRevoke={() => revoke(key)} />)}</tbody>
          </table>
        </div>
      )}
      {creating && (
        <NewKeyDialog
          onClose={() => app.router.go("/keys", true)}
          onCreated={(key) => {
            setCreated(key);
            app.router.go("/keys", true);
            load();
          }}
        />
      )}
      {created && <SecretDialog apiKey={created} onClose={() => setCreated(null)} />}
    </div>
  );
}

function KeyRow({ apiKey, onRevoke }: { apiKey: ApiKeyJson; onRevoke: () => void }) {
  const { nowMs } = useApp();
  const { name, permissions, schemas, created_at, expires_at, last_used_at } = apiKey;
  const expired = expires_at !== null && Date.parse(expires_at) <= nowMs.value;
  return (
    <tr class={expired ? "faded" : undefined}>
      <th scope="row" data-label="Name">{name}</th>
      <td data-label="May">
        <span class="tags">
          {permissions.map((permission) => <span key={permission} class={`tag ${permission}`}>{permission}</span>)}
        </span>
      </td>
      <td data-label="Schemas">
        {schemas ? <span class="tags">{schemas.map((id) => <code key={id} class="tag">{id}</code>)}</span> : "all"}
      </td>
      <td data-label="Last used">
        {last_used_at ? <Ago ms={Date.parse(last_used_at)} /> : last_used_at === null ? "never" : "not recorded"}
      </td>
      <td data-label="Expires">
        <Expiry at={expires_at} nowMs={nowMs.value} />
      </td>
      <td data-label="Created">
        <time dateTime={created_at} title={fullTime(Date.parse(created_at))}>{day(Date.parse(created_at))}</time>
      </td>
      <td class="actions">
        <Button kind="ghost" onClick={onRevoke} title={`Revoke ${name}`}>Revoke</Button>
      </td>
    </tr>
  );
}

function Expiry({ at, nowMs }: { at: string | null; nowMs: number }) {
  if (at === null) return <>never</>;
  const ms = Date.parse(at);
  return (
    <time dateTime={at} title={fullTime(ms)}>
      {ms <= nowMs ? "expired" : until(ms, nowMs)}
    </time>
  );
}
