/** What a process has used so far, from Linux's /proc; with its children, as PostgreSQL works in them. */

/** Ticks a second of the times in /proc, on every Linux that matters here. */
const TICKS = 100;
const PAGE_BYTES = 4_096;

async function stat(pid: number): Promise<string[]> {
  const text = await Deno.readTextFile(`/proc/${pid}/stat`);
  // The second field is a name in parentheses that may hold spaces.
  return text.slice(text.lastIndexOf(")") + 2).split(" ");
}

async function family(pid: number): Promise<number[]> {
  const children = (await Deno.readTextFile(`/proc/${pid}/task/${pid}/children`)).split(" ").filter((id) => id !== "")
    .map(Number);
  return [pid, ...(await Promise.all(children.map((child) => family(child).catch(() => [])))).flat()];
}

async function summed(pid: number, figure: (fields: string[]) => number): Promise<number> {
  const figures = (await family(pid)).map((id) => stat(id).then(figure, () => 0));
  return (await Promise.all(figures)).reduce((sum, value) => sum + value, 0);
}

/** CPU time in seconds, user and system; of children also what has ended. */
export function cpuSeconds(pid: number): Promise<number> {
  return summed(pid, (fields) => [11, 12, 13, 14].reduce((sum, i) => sum + Number(fields[i]), 0) / TICKS);
}

/** Resident memory in MiB. */
export function memoryMib(pid: number): Promise<number> {
  return summed(pid, (fields) => Number(fields[21]) * PAGE_BYTES / 2 ** 20);
}
