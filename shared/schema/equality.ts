/** Equality of JSON values as JSON Schema defines it, with the work of comparing counted. */
import type { Json } from "./dialect.ts";
import type { Meter } from "./meter.ts";

/** Up to this many scalars are compared with one another. */
const FEW = 8;
/** What writing one value or name as text costs. */
const COMPARED_STEPS = 8;
/** What dividing decimals costs beside their digits. */
const DIVIDED_STEPS = 16;

/**
 * A text that two values share if and only if they are equal: names in order, `1` and `1.0` alike. Numbers are doubles,
 * so those beyond their precision or range are equal when their doubles are. Recurses at most as deep as JSON may nest.
 */
export function canonicalText(value: Json, meter: Meter): string {
  meter.charge(COMPARED_STEPS);
  if (typeof value === "string") {
    meter.charge(value.length >> 4);
    return JSON.stringify(value);
  }
  if (typeof value !== "object" || value === null) return String(value === 0 ? 0 : value);
  if (Array.isArray(value)) return `[${value.map((item) => canonicalText(item, meter)).join(",")}]`;
  const members = Object.keys(value).sort().map((name) => {
    meter.charge(COMPARED_STEPS + (name.length >> 4));
    return `${JSON.stringify(name)}:${canonicalText(value[name]!, meter)}`;
  });
  return `{${members.join(",")}}`;
}

/** A set of JSON values in which looking up takes time in proportion to the value, not to the set. */
export class ValueSet {
  readonly #scalars = new Set<unknown>();
  readonly #composites = new Set<string>();
  readonly #meter: Meter;

  constructor(values: readonly Json[], meter: Meter) {
    this.#meter = meter;
    for (const value of values) {
      if (isScalar(value)) this.#scalars.add(value);
      else this.#composites.add(canonicalText(value, meter));
    }
  }

  has(value: Json): boolean {
    if (isScalar(value)) return this.#scalars.has(value);
    return this.#composites.size > 0 && this.#composites.has(canonicalText(value, this.#meter));
  }
}

/** The indices of two items that are equal, or `undefined`. */
export function findDuplicate(items: readonly Json[], meter: Meter): [number, number] | undefined {
  if (items.length <= FEW && items.every(isScalar)) {
    meter.charge(items.length);
    for (let i = 1; i < items.length; i++) {
      const first = items.indexOf(items[i]!);
      if (first < i) return [first, i];
    }
    return undefined;
  }
  const scalars = new Map<unknown, number>();
  const composites = new Map<string, number>();
  for (let i = 0; i < items.length; i++) {
    const item = items[i]!;
    let first: number | undefined;
    if (isScalar(item)) {
      meter.charge(1);
      first = scalars.get(item);
      scalars.set(item, i);
    } else {
      const text = canonicalText(item, meter);
      first = composites.get(text);
      composites.set(text, i);
    }
    if (first !== undefined) return [first, i];
  }
  return undefined;
}

function isScalar(value: Json): value is null | boolean | number | string {
  return typeof value !== "object" || value === null;
}

/**
 * Whether `value` is a whole multiple of `unit`, both read as the shortest decimals that give their doubles: so 1.13 is
 * a multiple of 0.01, which a division of doubles denies. A number beyond the range of doubles is no multiple of any.
 */
export function isMultiple(value: number, unit: number, meter: Meter): boolean {
  if (Number.isSafeInteger(value) && Number.isSafeInteger(unit)) return value % unit === 0;
  if (!Number.isFinite(value) || !Number.isFinite(unit)) return false;
  const [a, b] = [decimal(value), decimal(unit)];
  const scale = Math.min(a.exponent, b.exponent);
  meter.charge(DIVIDED_STEPS + Math.max(a.exponent, b.exponent) - scale);
  const whole = (number: { digits: bigint; exponent: number }) =>
    number.digits * 10n ** BigInt(number.exponent - scale);
  return whole(a) % whole(b) === 0n;
}

/** A double as `digits * 10 ** exponent`. */
function decimal(value: number): { digits: bigint; exponent: number } {
  const [mantissa, exponent] = value.toExponential().split("e") as [string, string];
  const [whole, fraction = ""] = mantissa.split(".") as [string, string?];
  return { digits: BigInt(whole + fraction), exponent: Number(exponent) - fraction.length };
}
