/**
 * A second implementation of the envelope for the tests, written from the description of the format and with Node's
 * cryptography alone. It shares no line with the product's own, so that an error in one shows against the other.
 */
import { Buffer } from "node:buffer";
import { createCipheriv, createDecipheriv, createHash, hkdfSync } from "node:crypto";

/** The header as it stands in the envelope. */
export interface PlainHeader {
  key_id: string;
  alg: string;
  schema_id: string;
  entity_key: string;
  version: number;
  op_id: string;
  written_at: string;
}

/** The storage name: percent-encoding but for letters, digits, `.`, `-` and, in the key, `_`; no leading dot. */
export function independentName(schemaId: string, entityKey: string): string {
  const encode = (text: string, plain: RegExp) =>
    [...Buffer.from(text, "utf8")].map((byte, index) => {
      const char = String.fromCharCode(byte);
      return plain.test(char) && !(char === "." && index === 0)
        ? char
        : "%" + byte.toString(16).toUpperCase().padStart(2, "0");
    }).join("");
  return encode(schemaId, /[A-Za-z0-9.-]/) + "_" + encode(entityKey, /[A-Za-z0-9._-]/);
}

function dataKey(masterKey: Uint8Array, name: string): Buffer {
  const firstByte = createHash("sha256").update(name, "utf8").digest("hex").slice(0, 2);
  return Buffer.from(hkdfSync("sha256", masterKey, "", `deltadb/entity/v1/${firstByte}`, 32));
}

/** An envelope whose header is exactly `headerText`, sealed for the storage name `name`. */
export function independentSeal(
  masterKey: Uint8Array,
  name: string,
  headerText: string,
  iv: Uint8Array,
  document: Uint8Array,
): Buffer {
  const header = Buffer.from(headerText, "utf8");
  const length = Buffer.alloc(4);
  length.writeUInt32LE(header.length);
  const aad = Buffer.concat([Buffer.from("DDB1", "latin1"), length, header, iv]);
  const cipher = createCipheriv("aes-256-gcm", dataKey(masterKey, name), iv).setAAD(aad);
  return Buffer.concat([aad, cipher.update(document), cipher.final(), cipher.getAuthTag()]);
}

/** Header and document of an envelope. Throws on one that is not authentic. */
export function independentOpen(
  masterKey: Uint8Array,
  envelope: Uint8Array,
): { header: PlainHeader; document: Buffer } {
  const bytes = Buffer.from(envelope);
  if (bytes.toString("latin1", 0, 4) !== "DDB1") throw new Error("not an envelope");
  const ivAt = 8 + bytes.readUInt32LE(4);
  const header: PlainHeader = JSON.parse(bytes.toString("utf8", 8, ivAt));
  const name = independentName(header.schema_id, header.entity_key);
  const decipher = createDecipheriv("aes-256-gcm", dataKey(masterKey, name), bytes.subarray(ivAt, ivAt + 12))
    .setAAD(bytes.subarray(0, ivAt + 12))
    .setAuthTag(bytes.subarray(bytes.length - 16));
  const document = Buffer.concat([decipher.update(bytes.subarray(ivAt + 12, bytes.length - 16)), decipher.final()]);
  return { header, document };
}
