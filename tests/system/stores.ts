/** Stores that clusters of real processes are tried on: how the programs are told of one, and a way to it past the programs. */

/** A store for one cluster. What it holds has the same names in every engine: `manifest.json`, `_auth/join.key`, … */
export interface ClusterStore {
  /** Flags of both programs that name it. */
  readonly flags: readonly string[];
  /** Whether a schema's entities are counted exactly, or not at all. */
  readonly counted: boolean;
  /** What is stored under a name. @throws when there is nothing */
  read(name: string): Promise<Uint8Array>;
  /** Everything that is stored. */
  contents(): AsyncIterable<Uint8Array>;
}

/** A directory. */
export class DirectoryStore implements ClusterStore {
  readonly counted = true;
  readonly flags: readonly string[];
  readonly #root: string;

  constructor(root: string) {
    this.#root = root;
    this.flags = [`-shared-fs=${root}`];
  }

  read(name: string): Promise<Uint8Array> {
    return Deno.readFile(`${this.#root}/${name}`);
  }

  contents(): AsyncIterable<Uint8Array> {
    return filesBelow(this.#root);
  }
}

async function* filesBelow(directory: string): AsyncIterable<Uint8Array> {
  for await (const entry of Deno.readDir(directory)) {
    const path = `${directory}/${entry.name}`;
    if (entry.isDirectory) yield* filesBelow(path);
    else yield await Deno.readFile(path);
  }
}
