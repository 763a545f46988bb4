/** @jsxRuntime automatic */
/** @jsxImportSource preact */
/// <reference lib="dom" />
/** The keys of one schema: search by prefix, scroll through all of them, see writes by others as they happen. */
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { mayPass } from "../api/errors.ts";
import { useApp } from "../app/app.ts";
import { href } from "../app/router.ts";
import { Icon } from "../components/icons.tsx";
import { Name } from "../components/name.tsx";
import { SearchField } from "../components/search_field.tsx";
import { Empty, Problem, Skeleton } from "../components/states.tsx";
import { VirtualList } from "../components/virtual_list.tsx";
import { bytes, count, counted } from "../format/numbers.ts";
import { ago } from "../format/time.ts";
import { visible } from "../format/visible.ts";
import type { Feed } from "./feed.ts";
import { KeyList, type KeyRow } from "./key_list.ts";

const ROW_HEIGHT = 46;
const SEARCH_DELAY_MS = 150;
const FRESH_MS = 2_500;

interface KeyPaneProps {
  readonly schema: string;
  readonly selectedKey: string | undefined;
  readonly prefix: string;
  readonly feed: Feed;
}

/** The pane in the middle. */
export function KeyPane({ schema, selectedKey, prefix, feed }: KeyPaneProps) {
  const app = useApp();
  const list = useKeyList(schema, prefix, feed);
  const revision = list.revision.value;
  const selected = useMemo(
    () => selectedKey === undefined ? -1 : list.indexOf(selectedKey),
    [list, revision, selectedKey],
  );
  const summary = app.schemas.list.value?.find(({ id }) => id === schema);
  const total = summary?.entities ?? null;
  const open = (index: number) => {
    const row = list.row(index);
    if (row) app.router.go(href("documents", { schema, prefix, key: row.key }));
  };
  const state = list.state.value;
  const failed = state === "failed" && list.known === 0;
  // What keeps the keys away for good keeps the document away, too, and its pane says so.
  const saidThere = selectedKey !== undefined && !mayPass(list.error.value);
  return (
    <section class="pane keys-pane" aria-label={`Keys of ${schema}`}>
      <header class="pane-head">
        <a class="icon-button only-narrow" href={href("documents")} aria-label="Back to schemas">
          <Icon name="back" />
        </a>
        <div class="pane-title">
          <h2 title={visible(schema)}>
            <Name value={schema} />
          </h2>
          <p class="pane-sub">
            {failed
              ? null
              : prefix !== ""
              ? `${count(list.known)}${list.complete ? "" : "+"} found`
              : total !== null
              ? counted(total, "document")
              : `${count(list.known)}${list.complete ? "" : "+"} documents`}
            <LiveMark live={feed.live.value} />
          </p>
        </div>
        {app.session.may("write") && (
          <a class="button primary" href={href("documents", { schema, prefix, new: "1" })}>
            <Icon name="plus" size={16} />
            <span>New</span>
          </a>
        )}
      </header>
      <PrefixSearch schema={schema} prefix={prefix} />
      {state === "loading" && <Skeleton lines={8} label="Loading keys" />}
      {failed && !saidThere && <Problem error={list.error.value} retry={() => list.retry()} />}
      {state !== "loading" && list.known === 0 && state !== "failed" && <NoKeys schema={schema} prefix={prefix} />}
      {list.known > 0 && (
        <VirtualList
          label={`Keys of ${schema}`}
          rows={list.known}
          rowHeight={ROW_HEIGHT}
          selected={selected}
          resetKey={`${schema}\n${prefix}`}
          row={(index) => <Row row={list.row(index)} nowMs={app.nowMs.value} />}
          onVisible={(first, last) => list.visible(first, last)}
          onOpen={open}
        />
      )}
      {state === "failed" && list.known > 0 && <Problem error={list.error.value} retry={() => list.retry()} />}
    </section>
  );
}

/** The list for what is asked; a new one when the question changes or events were lost. */
function useKeyList(schema: string, prefix: string, feed: Feed): KeyList {
  const { client, connection, schemas } = useApp();
  const resets = feed.resets.value;
  const generation = connection.generation.value;
  const list = useMemo(() => new KeyList(client, schema, prefix), [schema, prefix, resets, generation]);
  useEffect(() =>
    feed.listen((kind, data) => {
      list.apply(kind, data);
      if (kind === "delete") schemas.adjust(schema, -1);
      else if (data.version === 1) schemas.adjust(schema, 1);
    }), [list, feed]);
  useEffect(() => () => list.close(), [list]);
  return list;
}

function LiveMark({ live }: { live: boolean }) {
  return live ? <span class="live" title="Changes by others appear by themselves">live</span> : null;
}

function PrefixSearch({ schema, prefix }: { schema: string; prefix: string }) {
  const { router } = useApp();
  const [text, setText] = useState(prefix);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  useEffect(() => {
    clearTimeout(timer.current);
    setText(prefix);
  }, [prefix]);
  const search = (value: string) => {
    setText(value);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => {
      const { key } = router.route.value.query;
      router.go(href("documents", { schema, prefix: value, key }), true);
    }, SEARCH_DELAY_MS);
  };
  return (
    <SearchField
      aria-label="Keys that start with"
      placeholder="Key starts with…"
      value={text}
      spellcheck={false}
      autocapitalize="off"
      onText={search}
    />
  );
}

function Row({ row, nowMs }: { row: KeyRow | undefined; nowMs: number }) {
  if (!row) return <span class="row-wait" />;
  const updated = row.updated_at ? ago(Date.parse(row.updated_at), nowMs) : null;
  const facts = [
    row.version !== null && row.version !== undefined ? `v${row.version}` : null,
    row.size !== null && row.size !== undefined ? bytes(row.size) : null,
    updated,
  ].filter(Boolean);
  const fresh = row.changedAtMs !== undefined && nowMs - row.changedAtMs < FRESH_MS;
  return (
    <span class={fresh ? "row-body fresh" : "row-body"}>
      <span class="row-key" title={visible(row.key)}>
        <Name value={row.key} />
      </span>
      <span class="row-facts">{facts.join(" · ")}</span>
    </span>
  );
}

function NoKeys({ schema, prefix }: { schema: string; prefix: string }) {
  const { session } = useApp();
  if (prefix !== "") {
    return (
      <Empty icon="search" title="Nothing starts with that">
        <p>Keys are compared letter by letter from the beginning, capitals included.</p>
      </Empty>
    );
  }
  return (
    <Empty icon="documents" title="No document yet">
      <p>Documents that are written to this schema appear here by themselves.</p>
      {session.may("write") && (
        <a class="button primary" href={href("documents", { schema, new: "1" })}>
          <Icon name="plus" size={16} />
          <span>New document</span>
        </a>
      )}
    </Empty>
  );
}
