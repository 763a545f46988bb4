/** See bare.ts. Arguments: port, key, bytes of the document. */
const [port, key, size] = Deno.args;
const document = new TextEncoder().encode(`{"text":"${"x".repeat(Math.max(0, Number(size) - 11))}"}`);
const expected = `Bearer ${key}`;

Deno.serve({ hostname: "127.0.0.1", port: Number(port), onListen: () => {} }, async (request) => {
  if (request.headers.get("authorization") !== expected) return new Response(null, { status: 401 });
  if (request.method === "PUT") {
    // At the end of a round the load generator hangs up in the middle of requests.
    await request.arrayBuffer().catch(() => {});
    return new Response('{"status":"ok","version":1}', { headers: { "content-type": "application/json" } });
  }
  return new Response(document, { headers: { "content-type": "application/json" } });
});
