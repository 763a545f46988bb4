/**
 * Which worker shall own which partition: loads differ by at most one, and a join or a leave moves only what it must.
 * A pure function of what was before and of who is there.
 */

/**
 * @param before By partition: who was to own it, or `undefined`.
 * @param workers Those who can own partitions now, in any order; without any, nobody owns anything.
 * @returns By partition: who shall own it.
 */
export function assign(before: readonly (string | undefined)[], workers: readonly string[]): (string | undefined)[] {
  if (workers.length === 0) return before.map(() => undefined);
  const held = new Map<string, number[]>(workers.map((worker) => [worker, []]));
  before.forEach((worker, partition) => {
    if (worker !== undefined) held.get(worker)?.push(partition);
  });
  // Whoever holds most gets the larger shares, so that the fewest partitions move.
  const byLoad = [...workers].sort((a, b) => held.get(b)!.length - held.get(a)!.length || (a < b ? -1 : 1));
  const share = Math.floor(before.length / workers.length);
  const larger = before.length % workers.length;
  const after: (string | undefined)[] = before.map(() => undefined);
  const room: string[] = [];
  byLoad.forEach((worker, rank) => {
    const quota = share + (rank < larger ? 1 : 0);
    const kept = held.get(worker)!.slice(0, quota);
    for (const partition of kept) after[partition] = worker;
    for (let free = quota - kept.length; free > 0; free--) room.push(worker);
  });
  after.forEach((worker, partition) => {
    if (worker === undefined) after[partition] = room.pop();
  });
  return after;
}
