/**
 * Fills a database with entities `key-0` … through its REST door, 1,000 a request. Run by hand for large stores:
 * `deno run -A bench/fill.ts http://127.0.0.1:8080 <admin key> <entities> [bytes]`.
 */

const PER_REQUEST = 1_000;
const PARALLEL = 4;
const BODY_BYTES_MAX = 1_000_000;

export async function fill(
  { url, adminKey }: { url: string; adminKey: string },
  entities: number,
  size: number,
  progress: (written: number) => void = () => {},
): Promise<void> {
  const perRequest = Math.max(1, Math.min(PER_REQUEST, Math.floor(BODY_BYTES_MAX / (size + 32))));
  let next = 0;
  let written = 0;
  await Promise.all(Array.from({ length: PARALLEL }, async () => {
    while (next < entities) {
      const from = next;
      const to = next = Math.min(entities, from + perRequest);
      const documents: string[] = [];
      for (let i = from; i < to; i++) {
        const head = `{"n":${i},"name":"somebody","active":true,"text":"`;
        documents.push(`"key-${i}":${head}${"x".repeat(Math.max(0, size - head.length - 2))}"}`);
      }
      const response = await fetch(`${url}/entity/bench`, {
        method: "PUT",
        headers: { authorization: `Bearer ${adminKey}` },
        body: `{${documents.join(",")}}`,
      });
      const text = await response.text();
      if (!response.ok) throw new Error(`filling failed: ${text}`);
      progress(written += to - from);
    }
  }));
}

if (import.meta.main) {
  const [url, adminKey, entities, size = "256"] = Deno.args;
  if (url === undefined || adminKey === undefined || !(Number(entities) > 0)) {
    console.error("usage: fill.ts <url> <admin key> <entities> [bytes of a document]");
    Deno.exit(2);
  }
  const startedMs = performance.now();
  await fill({ url, adminKey }, Number(entities), Number(size), (written) => {
    if (written % 100_000 === 0) {
      console.log(
        `${written.toLocaleString("en")} written, ${
          Math.round(written / (performance.now() - startedMs) * 1_000)
        } a second`,
      );
    }
  });
}
