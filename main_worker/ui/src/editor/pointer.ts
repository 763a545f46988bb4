/** JSON Pointers (RFC 6901) and places in the text of a document. */
import type { Tree } from "@lezer/common";
import type { SyntaxNode } from "@lezer/common";

interface Range {
  readonly from: number;
  readonly to: number;
}

/** The reference tokens of a pointer: `/a~1b/0` is `["a/b", "0"]`. */
export function pointerTokens(pointer: string): string[] {
  if (pointer === "") return [];
  return pointer.replace(/^#?\//, "").split("/").map((token) => token.replaceAll("~1", "/").replaceAll("~0", "~"));
}

/**
 * Where the value of a pointer stands; where it is missing, the deepest part of the way that is there. A property is
 * marked at its name, because its value may be long.
 */
export function rangeOfPointer(tree: Tree, text: string, pointer: string): Range {
  let node: SyntaxNode | null = firstValue(tree.topNode);
  let range: Range = node ? headOf(node) : { from: 0, to: Math.min(1, text.length) };
  for (const token of pointerTokens(pointer)) {
    if (!node) break;
    if (node.name === "Object") {
      const property: SyntaxNode | undefined = node.getChildren("Property").find((child) =>
        propertyName(child, text) === token
      );
      if (!property) break;
      node = firstValue(property);
      const name = property.getChild("PropertyName");
      range = name ?? property;
    } else if (node.name === "Array") {
      const items = values(node);
      node = items[Number(token)] ?? null;
      if (!node) break;
      range = headOf(node);
    } else break;
  }
  const scalar = node !== null && node.name !== "Object" && node.name !== "Array";
  const chosen = scalar ? node! : range;
  return { from: chosen.from, to: chosen.to };
}

/** Objects and arrays are marked at their opening bracket. */
function headOf(node: SyntaxNode): Range {
  const whole = node.name !== "Object" && node.name !== "Array";
  return { from: node.from, to: whole ? node.to : node.from + 1 };
}

const VALUES = new Set(["Object", "Array", "String", "Number", "True", "False", "Null"]);

function values(node: SyntaxNode): SyntaxNode[] {
  const found: SyntaxNode[] = [];
  for (let child = node.firstChild; child; child = child.nextSibling) if (VALUES.has(child.name)) found.push(child);
  return found;
}

function firstValue(node: SyntaxNode): SyntaxNode | null {
  return values(node)[0] ?? null;
}

/** The name of a property, unescaped. */
export function propertyName(property: SyntaxNode, text: string): string | null {
  const name = property.getChild("PropertyName");
  if (!name) return null;
  try {
    return JSON.parse(text.slice(name.from, name.to)) as string;
  } catch {
    return null;
  }
}

/** The way from the root of the document to a node: property names and array indices. */
export function pathOfNode(node: SyntaxNode, text: string): (string | number)[] {
  const path: (string | number)[] = [];
  for (let at: SyntaxNode | null = node; at?.parent; at = at.parent) {
    const parent: SyntaxNode = at.parent;
    if (parent.name === "Property") path.unshift(propertyName(parent, text) ?? "");
    else if (parent.name === "Array") {
      const index = values(parent).findIndex((child) => child.from === at!.from);
      path.unshift(Math.max(0, index));
    }
  }
  return path;
}
