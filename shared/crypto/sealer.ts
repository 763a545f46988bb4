/** The cryptographic face that the data plane sees: documents are sealed into envelopes and opened from them. */
import type { EntityKey, EntityName, SchemaId } from "../names.ts";

/** What an envelope says of its document, authenticated together with it. */
export interface EnvelopeHeader {
  readonly keyId: string;
  readonly schemaId: SchemaId;
  readonly entityKey: EntityKey;
  readonly version: number;
  /** Id of the operation that wrote it: 32 lower-case hex digits. */
  readonly opId: string;
  /** Milliseconds since the epoch; RFC 3339 with milliseconds in the header. */
  readonly writtenAtMs: number;
}

/** Opening fails closed: `tampered` for anything that is not exactly what was sealed under this name. */
export type Opened =
  | { readonly kind: "opened"; readonly header: EnvelopeHeader; readonly document: Uint8Array }
  | { readonly kind: "tampered"; readonly reason: string }
  | { readonly kind: "key_unavailable"; readonly keyId: string };

/** Seals and opens envelopes with the keys that it holds. */
export interface Sealer {
  /** Id of the key that new envelopes are sealed with. */
  readonly keyId: string;
  /** Whether envelopes of this key id can be opened. */
  holds(keyId: string): boolean;
  /** An envelope of the document under its name, with a fresh IV. The header's key id is the current one. */
  seal(name: EntityName, header: Omit<EnvelopeHeader, "keyId">, document: Uint8Array): Promise<Uint8Array<ArrayBuffer>>;
  /** The document, if the envelope is whole, authentic and belongs under this name. */
  open(name: EntityName, envelope: Uint8Array): Promise<Opened>;
}
