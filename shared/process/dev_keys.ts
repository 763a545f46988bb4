/** Keys of the development database: made at the first start, and kept in a file that only its owner can read. */
import { ConfigError } from "../config/flags.ts";
import { parseHexKey, ValueError } from "../config/values.ts";
import { type Random, randomHex } from "../seams/random.ts";

/** The keys, and where the admin key was found. */
export interface DevKeys {
  /** 64 hex digits. */
  readonly masterKey: string;
  readonly adminKey: string | undefined;
}

const HEADER =
  `# Keys of the development database beside this file. Without MASTER_KEY its documents cannot be read any more.
# Add a line ADMIN_KEY=… to sign in with a key instead of without one. No other names are read from here.
`;

/** The value of a variable in the text of a `.env` file; the last one wins. */
export function readVariable(text: string, name: string): string | undefined {
  let value: string | undefined;
  for (const line of text.split("\n")) {
    const match = /^\s*(?:export\s+)?([A-Z_]+)\s*=\s*(.*?)\s*$/.exec(line);
    if (match?.[1] !== name) continue;
    const quoted = /^(["'])(.*)\1$/.exec(match[2]!);
    value = quoted ? quoted[2] : match[2];
  }
  return value || undefined;
}

/**
 * Reads the keys from the file at `path`, after it was made or completed with a new master key where there is none.
 * Its mode is 0600 afterwards. The file's folder must exist.
 *
 * @throws {ConfigError} when it holds a master key that is none.
 */
export async function devKeys(path: string, random: Random): Promise<DevKeys> {
  const text = await readOrMake(path, random);
  const masterKey = readVariable(text, "MASTER_KEY")!;
  try {
    parseHexKey(masterKey).fill(0);
  } catch (error) {
    if (error instanceof ValueError) throw new ConfigError(`MASTER_KEY in ${path} is not valid: ${error.message}`);
    throw error;
  }
  return { masterKey, adminKey: readVariable(text, "ADMIN_KEY") };
}

async function readOrMake(path: string, random: Random): Promise<string> {
  let text: string | undefined;
  try {
    text = await Deno.readTextFile(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  if (text !== undefined && readVariable(text, "MASTER_KEY") !== undefined) {
    await Deno.chmod(path, 0o600);
    return text;
  }
  const line = `MASTER_KEY=${randomHex(random, 32)}\n`;
  const made = text === undefined ? HEADER + line : `${text.replace(/\n?$/, "\n")}${line}`;
  const draft = `${path}.${randomHex(random, 8)}`;
  try {
    using file = await Deno.open(draft, { write: true, createNew: true, mode: 0o600 });
    let bytes = new TextEncoder().encode(made);
    while (bytes.length > 0) bytes = bytes.subarray(await file.write(bytes));
    // Documents will be encrypted under it: it must survive whatever they survive.
    await file.sync();
    if (text !== undefined) await Deno.rename(draft, path);
    else {
      try {
        // Unlike a rename, a link never takes the place of a file that another runner has made in the meantime.
        await Deno.link(draft, path);
      } catch (error) {
        if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
        return await readOrMake(path, random);
      }
    }
    return made;
  } finally {
    await Deno.remove(draft).catch(() => {});
  }
}
