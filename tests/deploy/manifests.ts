/** The YAML files of `deploy/`, read. */
import { parseAllDocuments, stringify } from "yaml";
import { ROOT } from "./command.ts";

/** A YAML document whose shape a test goes through. */
// deno-lint-ignore no-explicit-any
export type Manifest = any;

/** The documents of a file below `deploy/`. */
export async function readManifests(path: string): Promise<Manifest[]> {
  const documents = parseAllDocuments(await Deno.readTextFile(`${ROOT}deploy/${path}`), { merge: true });
  return [...documents].map((document) => {
    const [error] = document.errors;
    if (error !== undefined) throw new Error(`${path}: ${error.message}`);
    return document.toJS();
  });
}

/** The one document of a kind in a file. */
export async function readManifest(path: string, kind?: string): Promise<Manifest> {
  const found = (await readManifests(path)).filter((manifest) => kind === undefined || manifest.kind === kind);
  if (found.length !== 1) throw new Error(`${path} has ${found.length} of ${kind ?? "a document"}`);
  return found[0];
}

/** Documents as the text of a file. */
export function writeManifests(manifests: readonly Manifest[]): string {
  return manifests.map((manifest) => stringify(manifest)).join("---\n");
}

/** Names of the files in a folder below `deploy/` that end so, sorted. */
export function filesOf(folder: string, ending: string): string[] {
  return [...Deno.readDirSync(`${ROOT}deploy/${folder}`)]
    .filter(({ name, isFile }) => isFile && name.endsWith(ending))
    .map(({ name }) => name)
    .sort();
}
