/** The frame of every codec: sizes and counts are checked before a message is decoded, and every field after. */
import { Buffer } from "node:buffer";
import protobuf from "protobufjs";
import type { Definition } from "./definition.ts";
import { WireError } from "./errors.ts";

/** Between a plain type and the bytes of its message. */
export interface MessageCodec<T> {
  /** @throws {TypeError | RangeError} when the value does not fit the contract (a bug of the caller). */
  encode(value: T): Buffer;
  /**
   * Byte fields of the result may be views of `bytes`: whoever keeps one beyond the call copies it.
   * @throws {WireError} INVALID_ARGUMENT with the field that is wrong.
   */
  decode(bytes: Uint8Array): T;
}

/** A decoded message before its fields are checked. */
// deno-lint-ignore no-explicit-any
export type Message = Record<string, any>;

/** What {@linkcode messageCodec} needs to know of a message. */
export interface MessageShape<T> {
  /** Name of the message in `deltadb.proto`. */
  readonly name: string;
  /** Bytes that the whole message may have. Default: whatever the transport lets through. */
  readonly bytesMax?: number;
  /** How often each repeated field may occur, by its name in camel case. */
  readonly counts?: Readonly<Record<string, number>>;
  /**
   * Refuses strings that are not UTF-8. The library takes them and makes others of them, so that two keys of a client
   * could become one; between our own programs nothing else than UTF-8 is sent. Default: false.
   */
  readonly strictStrings?: boolean;
  toMessage(value: T): Message;
  fromMessage(message: Message): T;
}

/** A codec for one message of the definition. */
export function messageCodec<T>(definition: Definition, shape: MessageShape<T>): MessageCodec<T> {
  const { name, bytesMax = Infinity, strictStrings = false, toMessage, fromMessage } = shape;
  const type = definition.type(name);
  const countsMax = new Map(
    Object.entries(shape.counts ?? {}).map(([field, max]) => [type.fields[field]!.id, { field, max }]),
  );
  return {
    encode: (value) => type.encode(toMessage(value)).finish() as Buffer,
    decode: (bytes) => {
      if (bytes.byteLength > bytesMax) {
        throw new WireError(
          "INVALID_ARGUMENT",
          `${name} has ${bytes.byteLength} bytes; ${bytesMax} are allowed`,
        );
      }
      // A plain view, so that byte fields are plain ones too: `slice` of a Buffer would not copy.
      const view = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      try {
        if (countsMax.size > 0) checkCounts(view, name, countsMax);
        return fromMessage(type.decode(strictStrings ? new StrictReader(view, name) : view) as Message);
      } catch (error) {
        if (error instanceof WireError) throw error;
        throw new WireError("INVALID_ARGUMENT", `${name} is malformed`, { cause: error });
      }
    },
  };
}

/** A reader whose strings are UTF-8 or an error. */
class StrictReader extends protobuf.Reader {
  static readonly #utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  readonly #message: string;

  constructor(bytes: Uint8Array, message: string) {
    super(bytes);
    this.#message = message;
  }

  override string(): string {
    const bytes = this.bytes();
    try {
      return StrictReader.#utf8.decode(bytes);
    } catch {
      throw new WireError("INVALID_ARGUMENT", `${this.#message} has a string that is not valid UTF-8`);
    }
  }
}

/** Counts fields without decoding them, so that millions of empty ones cost no memory. */
function checkCounts(
  bytes: Uint8Array,
  name: string,
  countsMax: ReadonlyMap<number, { readonly field: string; readonly max: number }>,
): void {
  const reader = new protobuf.Reader(bytes);
  const counts = new Map<number, number>();
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    const limit = countsMax.get(tag >>> 3);
    if (limit !== undefined) {
      const count = (counts.get(tag >>> 3) ?? 0) + 1;
      if (count > limit.max) {
        throw new WireError("INVALID_ARGUMENT", `${name}.${limit.field} has more than ${limit.max} elements`);
      }
      counts.set(tag >>> 3, count);
    }
    reader.skipType(tag & 7);
  }
}

/** A field of type uint32 or uint64 as a number. */
export function whole(value: unknown, field: string, max = Number.MAX_SAFE_INTEGER): number {
  let number = NaN;
  if (typeof value === "number") number = value;
  else if (typeof value === "object" && value !== null && "low" in value && "high" in value) {
    number = ((value.high as number) >>> 0) * 2 ** 32 + ((value.low as number) >>> 0);
  }
  if (!Number.isSafeInteger(number) || number < 0 || number > max) {
    throw new WireError("INVALID_ARGUMENT", `${field} is ${number}; 0 to ${max} is allowed`);
  }
  return number;
}

/** A string field. `bytesMax` bounds its UTF-8. */
export function text(value: string, field: string, bytesMax: number): string {
  if (value.length > bytesMax || (value.length * 3 > bytesMax && Buffer.byteLength(value) > bytesMax)) {
    throw new WireError("INVALID_ARGUMENT", `${field} is longer than ${bytesMax} bytes`);
  }
  if (!value.isWellFormed()) throw new WireError("INVALID_ARGUMENT", `${field} is not valid Unicode`);
  return value;
}

const NO_BYTES = new Uint8Array(0);

/** A bytes field with a limit; a view of the message. The library gives one that is absent as an array. */
export function bytes(given: Uint8Array | readonly number[], field: string, bytesMax: number): Uint8Array {
  const value = given instanceof Uint8Array ? given : NO_BYTES;
  if (value.byteLength > bytesMax) {
    throw new WireError("INVALID_ARGUMENT", `${field} has ${value.byteLength} bytes; ${bytesMax} are allowed`);
  }
  return value;
}

/** A bytes field of exactly `size` bytes, as lower-case hex digits. */
export function hex(value: Uint8Array, field: string, size: number): string {
  if (value.byteLength !== size) {
    throw new WireError("INVALID_ARGUMENT", `${field} has ${value.byteLength} bytes instead of ${size}`);
  }
  return value.toHex();
}

/** The bytes of a string of `2 * size` hex digits. @throws {TypeError} for anything else. */
export function unhex(value: string, field: string, size: number): Uint8Array {
  if (value.length !== 2 * size) throw new TypeError(`${field} is not ${2 * size} hex digits`);
  return Uint8Array.fromHex(value);
}

/** A number that goes out as uint64. @throws {RangeError} when it is not a whole number in `[0, 2^53)`. */
export function outWhole(value: number, field: string): number {
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`${field} is ${value}, not a whole number`);
  return value;
}

/** Milliseconds of a clock that goes out as uint64; a fraction is dropped. What lies before 1970 goes as its beginning. */
export function outMs(value: number, field: string): number {
  return outWhole(Math.max(0, Math.trunc(value)), field);
}

/** The other direction of an enum: from its number on the wire to the value, or an error. */
export function enumValue<T>(values: ReadonlyMap<number, T>, value: number, field: string): T {
  const found = values.get(value);
  if (found !== undefined) return found;
  const missing = value === 0 ? ", or is not there" : "";
  throw new WireError("INVALID_ARGUMENT", `${field} has the unknown value ${value}${missing}`);
}

/** Numbers by name, and names by number, of an enum that the definition lists. */
export interface EnumTable<T extends string> {
  readonly numbers: Readonly<Record<T, number>>;
  readonly names: ReadonlyMap<number, T>;
}

/** A table of the plain names of an enum, with their names in the definition. */
export function enumTable<T extends string>(
  definition: Definition,
  name: string,
  names: Readonly<Record<T, string>>,
): EnumTable<T> {
  const values = definition.root.lookupEnum(`deltadb.${name}`).values;
  const numbers = {} as Record<T, number>;
  const byNumber = new Map<number, T>();
  for (const [plain, wire] of Object.entries(names) as [T, string][]) {
    const number = values[wire];
    if (number === undefined) throw new TypeError(`deltadb.${name} has no ${wire}`);
    numbers[plain] = number;
    byNumber.set(number, plain);
  }
  return { numbers, names: byNumber };
}
