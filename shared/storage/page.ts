/** Pages of a listing that end by their bytes. */
import type { Listed } from "./store.ts";

/** The first of `entries` that hold at most `bytesMax` together, and one at least if there is any. */
export function withinBytes<Entry extends Pick<Listed, "size">>(entries: readonly Entry[], bytesMax: number): Entry[] {
  let bytes = 0;
  const end = entries.findIndex(({ size }, at) => {
    bytes += size;
    return bytes > bytesMax && at > 0;
  });
  return end < 0 ? [...entries] : entries.slice(0, end);
}
