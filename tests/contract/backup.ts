/** Backups and restores through the REST door, as an administrator makes them. */
import assert from "assert";
import type { Cluster } from "../system/cluster.ts";
import type { Acknowledged } from "./load.ts";

/** Stores a document: what a client was told of it. */
export async function storeDocument(
  cluster: Cluster,
  schema: string,
  key: string,
  document: string,
): Promise<Acknowledged> {
  const response = await cluster.fetch(`/entity/${schema}?key=${key}`, { method: "PUT", body: document });
  const { version } = await response.json();
  assert.equal(response.status, 200);
  return { document, etag: response.headers.get("etag")!, version };
}

/** A backup's bytes; `after` is called once, when the first of them are there. */
export async function backupOf(
  cluster: Cluster,
  after: () => Promise<void> = () => Promise.resolve(),
): Promise<Uint8Array> {
  const response = await cluster.fetch("/admin/backup");
  assert.equal(response.status, 200);
  const chunks: Uint8Array[] = [];
  for await (const chunk of response.body!) if (chunks.push(chunk) === 1) await after();
  return new Uint8Array(await new Blob(chunks as BlobPart[]).arrayBuffer());
}

/** Restores a backup of which at least a part is taken: the lines that say how it went. */
export async function restoreInto(
  cluster: Cluster,
  backup: Uint8Array,
  query = "",
): Promise<Record<string, unknown>[]> {
  const response = await sendBackup(cluster, backup, query);
  assert.equal(response.status, 200);
  return (await response.text()).trimEnd().split("\n").map((line) => JSON.parse(line));
}

/** Why nothing at all is restored from a backup: the status of the answer, and its error body. */
export async function refusalOf(
  cluster: Cluster,
  backup: Uint8Array,
): Promise<{ status: number; code: string; error: string }> {
  const response = await sendBackup(cluster, backup);
  assert.notEqual(response.status, 200);
  return { ...await response.json(), status: response.status };
}

function sendBackup(cluster: Cluster, backup: Uint8Array, query = ""): Promise<Response> {
  return cluster.fetch(`/admin/restore${query}`, {
    method: "POST",
    headers: { "content-type": "application/x-ndjson" },
    body: backup as BodyInit,
  });
}

/** Lines of a backup that say what is stored: without those that say when and from where. */
export function contentOf(backup: Uint8Array): string[] {
  return new TextDecoder().decode(backup).trimEnd().split("\n").slice(1, -1).sort();
}
