/**
 * JSON as text: laying it out and compacting it token by token, so that numbers and strings keep every character, and
 * what the UI saves differs from what was stored only where somebody edited.
 */

const TOKEN = /"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g;

/** One value a line, two spaces a level. Text that is not JSON comes back as it was. */
export function formatJson(text: string): string {
  if (!isJson(text)) return text;
  const tokens = text.match(TOKEN) ?? [];
  let out = "";
  let depth = 0;
  const line = () => `\n${"  ".repeat(depth)}`;
  tokens.forEach((token, index) => {
    const next = tokens[index + 1];
    if (token === "{" || token === "[") {
      out += token;
      if (next === "}" || next === "]") return;
      depth++;
      out += line();
    } else if (token === "}" || token === "]") {
      if (tokens[index - 1] !== "{" && tokens[index - 1] !== "[") {
        depth--;
        out += line();
      }
      out += token;
    } else if (token === ",") out += `,${line()}`;
    else if (token === ":") out += ": ";
    else out += token;
  });
  return out;
}

/** Without any white space between tokens. */
export function compactJson(text: string): string {
  return isJson(text) ? (text.match(TOKEN) ?? []).join("") : text;
}

/** Whether the text was written by a program on one line: worth laying out to read it. */
export function isCompact(text: string): boolean {
  return text.length > 40 && !text.includes("\n") && isJson(text) && formatJson(text).includes("\n");
}

/** Whether the text is JSON. */
export function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
