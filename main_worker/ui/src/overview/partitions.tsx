/** @jsxRuntime automatic */
/** @jsxImportSource preact */
/// <reference lib="dom" />
/** The strip of partitions: one cell each in the colour of its owner, so that balance, moves and gaps can be seen. */
import type { Stats } from "../api/types.ts";
import { counted } from "../format/numbers.ts";
import { workerColours } from "./figures.ts";

/** The strip and its legend. */
export function Partitions({ stats }: { stats: Stats }) {
  const { owners, moving, none, count } = stats.partitions;
  const colours = workerColours(stats);
  const movingSet = new Set(moving);
  const noneSet = new Set(none);
  const shares = new Map<string, number>();
  for (const owner of owners) if (owner !== null) shares.set(owner, (shares.get(owner) ?? 0) + 1);
  const balance = [...shares].sort(([a], [b]) => a < b ? -1 : 1);
  const summary = [
    ...balance.map(([id, share]) => `${id} owns ${counted(share, "partition")}`),
    ...(moving.length > 0 ? [`${moving.length} moving`] : []),
    ...(none.length > 0 ? [`${none.length} without an owner`] : []),
  ].join(", ");
  return (
    <section class="card" aria-labelledby="partitions-title">
      <div class="card-head">
        <h2 id="partitions-title">Partitions</h2>
        <p class="quiet">{counted(count, "partition")}, each owned by one worker at a time</p>
      </div>
      <div
        class={`strip strip-${Math.min(count, 64)}${count > 128 ? " dense" : ""}`}
        role="img"
        aria-label={summary || "No partition has an owner."}
      >
        {owners.map((owner, partition) => {
          const state = noneSet.has(partition)
            ? "none"
            : movingSet.has(partition)
            ? "moving"
            : owner === null
            ? "none"
            : "";
          const colour = owner === null ? "" : colours.get(owner) ?? "";
          return (
            <span
              key={partition}
              class={`cell ${colour} ${state}`}
              title={`${partition}: ${state === "moving" ? "moving" : owner ?? "no owner"}`}
            />
          );
        })}
      </div>
      <ul class="legend">
        {balance.map(([id, share]) => (
          <li key={id}>
            <i class={colours.get(id)} />
            {id} <span class="quiet">{share}</span>
          </li>
        ))}
        {moving.length > 0 && (
          <li>
            <i class="cell moving" />moving <span class="quiet">{moving.length}</span>
          </li>
        )}
        {none.length > 0 && (
          <li>
            <i class="cell none" />no owner <span class="quiet">{none.length}</span>
          </li>
        )}
      </ul>
    </section>
  );
}
