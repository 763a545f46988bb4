/**
 * Sealing and opening of a document of 1 KiB, one after the other and 32 started together (as a batch does it), beside
 * the decoder alone and the bare cipher of Web Crypto. Run with `deno bench shared/crypto`.
 */
import { entityName, parseEntityKey, parseSchemaId } from "../names.ts";
import { systemRandom } from "../seams/random.ts";
import { decodeEnvelope } from "./envelope.ts";
import { Keyring } from "./keyring.ts";
import { MasterKey } from "./master_key.ts";
import { signSession, verifySession } from "./tokens.ts";

const TOGETHER = 32;
const DOCUMENT = systemRandom.bytes(1024);
const SCHEMA = parseSchemaId("chat.v1");

const keyring = new Keyring({ current: new MasterKey("main-key-v1", systemRandom.bytes(32)), random: systemRandom });
const entities = Array.from({ length: TOGETHER }, (_, index) => {
  const entityKey = parseEntityKey(`Chat_${index}`);
  const header = {
    schemaId: SCHEMA,
    entityKey,
    version: 7,
    opId: "0123456789abcdef".repeat(2),
    writtenAtMs: Date.now(),
  };
  return { name: entityName(SCHEMA, entityKey), header };
});
const [first] = entities as [typeof entities[number]];
const envelopes = await Promise.all(entities.map(({ name, header }) => keyring.seal(name, header, DOCUMENT)));
const bareKey = await crypto.subtle.importKey("raw", systemRandom.bytes(32), "AES-GCM", false, ["encrypt", "decrypt"]);

function bare(): Promise<ArrayBuffer> {
  return crypto.subtle.encrypt({ name: "AES-GCM", iv: systemRandom.bytes(12), tagLength: 128 }, bareKey, DOCUMENT);
}

Deno.bench("bare encrypt", { group: "1 KiB, one" }, async () => {
  await bare();
});
Deno.bench("seal", { group: "1 KiB, one" }, async () => {
  await keyring.seal(first.name, first.header, DOCUMENT);
});
Deno.bench("open", { group: "1 KiB, one" }, async () => {
  await keyring.open(first.name, envelopes[0]!);
});

Deno.bench("bare encrypt, 32 together", { group: "1 KiB, 32 together" }, async () => {
  await Promise.all(entities.map(bare));
});
Deno.bench("seal, 32 together", { group: "1 KiB, 32 together" }, async () => {
  await Promise.all(entities.map(({ name, header }) => keyring.seal(name, header, DOCUMENT)));
});
Deno.bench("open, 32 together", { group: "1 KiB, 32 together" }, async () => {
  await Promise.all(entities.map(({ name }, index) => keyring.open(name, envelopes[index]!)));
});

Deno.bench("decode without opening", { group: "synchronous" }, () => {
  decodeEnvelope(envelopes[0]!);
});

const sessionKey = systemRandom.bytes(32);
const token = signSession(sessionKey, {
  clientId: "bench",
  source: { kind: "key", apiKeyId: "key-1" },
  permissions: ["read", "write"],
  expiresAtMs: Date.now() + 3_600_000,
  nonce: "0123456789abcdef".repeat(2),
}, null);
Deno.bench("verify a session token", { group: "synchronous" }, () => {
  verifySession([sessionKey], token, Date.now(), null);
});
