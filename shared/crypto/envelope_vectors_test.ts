/** Fixed vectors: what was once written must open for ever. A change that breaks one of these loses people's data. */
import assert from "assert";
import type { EntityName } from "../names.ts";
import { readEnvelopeHeader } from "./envelope.ts";
import { Keyring } from "./keyring.ts";
import { keyCheckValue, MasterKey, sessionTokenKey } from "./master_key.ts";
import vectors from "./testing/envelope_vectors.json" with { type: "json" };
import { independentName, independentOpen, independentSeal, type PlainHeader } from "./testing/independent.ts";

const utf8 = new TextEncoder();

/** A keyring of one key whose IVs are all `iv`. */
function ringWith(masterKey: string, id: string, iv: string): Keyring {
  return new Keyring({
    current: new MasterKey(id, Uint8Array.fromHex(masterKey)),
    random: { bytes: () => Uint8Array.fromHex(iv), unit: () => assert.fail("not a source of IVs") },
  });
}

for (const { master_key, check_value, session_key } of vectors.master_keys) {
  Deno.test(`the keys derived from ${master_key.slice(0, 8)}… are the recorded ones`, () => {
    const key = new MasterKey("k", Uint8Array.fromHex(master_key));
    assert.equal(keyCheckValue(key), check_value);
    assert.equal(sessionTokenKey(key).toHex(), session_key);
  });
}

for (const vector of vectors.envelopes) {
  const envelope = Uint8Array.fromHex(vector.envelope);
  const document = utf8.encode(vector.document);
  const plain: PlainHeader = JSON.parse(vector.header);
  const name = vector.name as EntityName;

  Deno.test(`recorded envelope opens: ${vector.about}`, async () => {
    const opened = await ringWith(vector.master_key, plain.key_id, vector.iv).open(name, envelope);
    assert.ok(opened.kind === "opened");
    assert.deepEqual(opened.document, document);
    assert.deepEqual(opened.header, {
      keyId: plain.key_id,
      schemaId: plain.schema_id,
      entityKey: plain.entity_key,
      version: plain.version,
      opId: plain.op_id,
      writtenAtMs: Date.parse(plain.written_at),
    });
  });

  Deno.test(`recorded envelope is what both implementations make: ${vector.about}`, async () => {
    const masterKey = Uint8Array.fromHex(vector.master_key);
    const iv = Uint8Array.fromHex(vector.iv);
    assert.equal(independentName(plain.schema_id, plain.entity_key), name);
    assert.equal(independentSeal(masterKey, name, vector.header, iv, document).toString("hex"), vector.envelope);
    const header = readEnvelopeHeader(envelope)!;
    const sealed = await ringWith(vector.master_key, plain.key_id, vector.iv).seal(name, header, document);
    assert.deepEqual(independentOpen(masterKey, sealed).header, plain);
    // Ours is one spelling of the header among those that open.
    const ours = JSON.stringify({
      key_id: plain.key_id,
      alg: plain.alg,
      schema_id: plain.schema_id,
      entity_key: plain.entity_key,
      version: plain.version,
      op_id: plain.op_id,
      written_at: plain.written_at,
    });
    assert.equal(sealed.toHex(), independentSeal(masterKey, name, ours, iv, document).toString("hex"));
  });
}
