/** Completion of property names and values from a JSON Schema. */
import {
  type Completion,
  type CompletionContext,
  type CompletionResult,
  snippetCompletion,
} from "@codemirror/autocomplete";
import { syntaxTree } from "@codemirror/language";
import type { SyntaxNode } from "@lezer/common";
import { type Json, propertiesAt, type PropertyProposal, valuesAt } from "./json_schema.ts";
import { pathOfNode, propertyName } from "./pointer.ts";

/** A source of completions; `schema` is asked each time, because it can change while the editor is open. */
export function schemaCompletion(
  schema: () => Json | undefined,
): (context: CompletionContext) => CompletionResult | null {
  return (context) => {
    const root = schema();
    if (root === undefined) return null;
    const text = context.state.doc.toString();
    const node = syntaxTree(context.state).resolveInner(context.pos, -1);
    const name = namePlace(node, text, context.pos);
    if (name) return completeNames(root, name.object, text, name.from, name.to);
    const value = valuePlace(node, text, context);
    return value && completeValues(root, value.path, value.from, value.to);
  };
}

interface NamePlace {
  readonly object: SyntaxNode;
  readonly from: number;
  readonly to: number;
}

/** Whether a property name belongs at `pos`, and what of it is there already. */
function namePlace(node: SyntaxNode, text: string, pos: number): NamePlace | null {
  if (node.name === "PropertyName") {
    const object = node.parent?.parent;
    return object ? { object, from: node.from, to: node.to } : null;
  }
  const object = node.name === "Object" ? node : node.parent?.name === "Object" ? node.parent : null;
  if (!object) return null;
  const before = text.slice(object.from, pos);
  const started = /[{,]\s*("?[^"{}[\],:]*)$/.exec(before);
  if (!started) return null;
  const rest = /^[^"{}[\],:\s]*"?/.exec(text.slice(pos))?.[0] ?? "";
  const quoted = started[1]!.startsWith('"');
  return { object, from: pos - started[1]!.length, to: quoted ? pos + rest.length : pos };
}

function completeNames(
  root: Json,
  object: SyntaxNode,
  text: string,
  from: number,
  to: number,
): CompletionResult | null {
  const present = new Set(
    object.getChildren("Property").filter((property) => property.from !== from).map((property) =>
      propertyName(property, text)
    ),
  );
  const proposals = propertiesAt(root, pathOfNode(object, text)).filter(({ name }) => !present.has(name));
  if (proposals.length === 0) return null;
  const hasValue = /^\s*:/.test(text.slice(to));
  return { from, to, options: proposals.map((proposal) => nameCompletion(proposal, hasValue)), filter: true };
}

function nameCompletion(proposal: PropertyProposal, hasValue: boolean): Completion {
  const { name, type, description, required, starter } = proposal;
  const quoted = JSON.stringify(name);
  const completion: Completion = {
    label: quoted,
    displayLabel: name,
    detail: required ? `${type}, required` : type,
    type: "property",
    boost: required ? 1 : 0,
    ...(description ? { info: description } : {}),
  };
  if (hasValue) return { ...completion, apply: quoted };
  const inner = /^(["[{])(.*)(["\]}])$/s.exec(starter);
  const escape = (part: string) =>
    part.replace(/[\\{}$#]/g, (letter) => letter === "{" || letter === "}" ? `\\${letter}` : letter);
  const value = inner
    ? `${escape(inner[1]!)}\${${inner[2] ? escape(inner[2]).replaceAll("\\", "") : ""}}${escape(inner[3]!)}`
    : `\${${starter}}`;
  return snippetCompletion(`${escape(quoted)}: ${value}`, completion);
}

interface ValuePlace {
  readonly path: readonly (string | number)[];
  readonly from: number;
  readonly to: number;
}

const SCALARS = new Set(["String", "Number", "True", "False", "Null"]);

function valuePlace(node: SyntaxNode, text: string, context: CompletionContext): ValuePlace | null {
  if (SCALARS.has(node.name)) return { path: pathOfNode(node, text), from: node.from, to: node.to };
  const word = context.matchBefore(/[\w"-]*/);
  const from = word?.from ?? context.pos;
  const property = node.name === "Property" ? node : node.parent?.name === "Property" ? node.parent : null;
  if (property && /:\s*[\w"-]*$/.test(text.slice(property.from, context.pos))) {
    const path = [...pathOfNode(property, text), propertyName(property, text) ?? ""];
    return { path, from, to: context.pos };
  }
  const list = node.name === "Array" ? node : node.parent?.name === "Array" ? node.parent : null;
  if (list && /[[,]\s*[\w"-]*$/.test(text.slice(list.from, context.pos))) {
    const before = text.slice(list.from + 1, from);
    const index = before.trim() === "" ? 0 : list.getChildren("Property").length + (before.match(/,/g)?.length ?? 0);
    return { path: [...pathOfNode(list, text), index], from, to: context.pos };
  }
  return null;
}

function completeValues(
  root: Json,
  path: readonly (string | number)[],
  from: number,
  to: number,
): CompletionResult | null {
  const proposals = valuesAt(root, path);
  if (proposals.length === 0) return null;
  return {
    from,
    to,
    options: proposals.map(({ text, description }) => ({
      label: text,
      type: "constant",
      ...(description ? { detail: description } : {}),
    })),
  };
}
