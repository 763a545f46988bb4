/** @jsxRuntime automatic */
/** @jsxImportSource preact */
/// <reference lib="dom" />
/** Rates, latencies and errors per operation as a table: the figures behind the charts. */
import { OPERATIONS, type RequestSeries } from "../../../front/rest/stats.ts";
import { count, latency, rate, shortCount } from "../format/numbers.ts";
import { OPERATION_NAMES, recent } from "./figures.ts";

/** One row for each operation that was called since the start. */
export function OperationTable({ requests }: { requests: RequestSeries }) {
  const used = OPERATIONS.filter((name) => requests.operations[name].total.count > 0);
  return (
    <section class="card" aria-labelledby="operations-title">
      <h2 id="operations-title">Operations</h2>
      <div class="table-box" role="region" aria-label="Figures per operation" tabIndex={0}>
        <table class="table numbers">
          <thead>
            <tr>
              <th scope="col">Operation</th>
              <th scope="col">per s</th>
              <th scope="col">p50</th>
              <th scope="col">p99</th>
              <th scope="col">Errors</th>
              <th scope="col">Total</th>
            </tr>
          </thead>
          <tbody>
            {used.map((name) => {
              const operation = requests.operations[name];
              const { window, total } = operation;
              return (
                <tr key={name}>
                  <th scope="row">{OPERATION_NAMES[name]}</th>
                  <td>{rate(recent(requests, operation))}</td>
                  <td>{latency(window.p50_ms)}</td>
                  <td>{latency(window.p99_ms)}</td>
                  <td class={window.errors > 0 ? "bad" : undefined}>{count(window.errors)}</td>
                  <td title={count(total.count)}>{shortCount(total.count)}</td>
                </tr>
              );
            })}
            {used.length === 0 && (
              <tr>
                <td colSpan={6} class="quiet">No request yet</td>
              </tr>
            )}
          </tbody>
        </table>
      </div>
    </section>
  );
}
