/**
 * The permission sets of `deno.json` as flags of the command line, for what takes no set: `deno compile` would bake the
 * path of the build machine's checkout into `./data`. `deno run --allow-read tests/tools/permission_flags.ts main-worker`
 * prints them, one a line.
 */

/** A list of what is allowed or denied, or `true` for everything. */
type Values = boolean | readonly string[];

/** One kind of permission in a set. */
type Permission = Values | { readonly allow?: Values; readonly deny?: Values; readonly ignore?: Values };

/** A permission set of `deno.json`. */
export type PermissionSet = Readonly<Record<string, Permission>>;

function flag(verb: string, kind: string, values: Values | undefined): string[] {
  if (values === undefined || values === false) return [];
  return [values === true ? `--${verb}-${kind}` : `--${verb}-${kind}=${values.join(",")}`];
}

/** The flags that give a program exactly what the set gives it; nothing is asked for at a terminal. */
export function permissionFlags(set: PermissionSet): string[] {
  const flags = Object.entries(set).flatMap(([kind, permission]) => {
    const parts = typeof permission === "object" && !Array.isArray(permission)
      ? permission as { allow?: Values; deny?: Values; ignore?: Values }
      : { allow: permission as Values };
    return [
      ...flag("allow", kind, parts.allow),
      ...flag("deny", kind, parts.deny),
      ...flag("ignore", kind, parts.ignore),
    ];
  });
  return ["--no-prompt", ...flags];
}

/** The permission sets of this tree. */
export async function permissionSets(): Promise<Readonly<Record<string, PermissionSet>>> {
  return JSON.parse(await Deno.readTextFile(new URL("../../deno.json", import.meta.url))).permissions;
}

if (import.meta.main) {
  const sets = await permissionSets();
  const set = sets[Deno.args[0] ?? ""];
  if (set === undefined) {
    console.error(`permission_flags: want one of ${Object.keys(sets).join(", ")}`);
    Deno.exit(2);
  }
  console.log(permissionFlags(set).join("\n"));
}
