/// <reference lib="dom" />
/**
 * The JSON editor: CodeMirror 6 in a shadow root, where its styles travel as adopted style sheets, which a strict
 * Content-Security-Policy allows. Fetched when the first document is opened.
 */
import { autocompletion, closeBrackets, closeBracketsKeymap, completionKeymap } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { json, jsonParseLinter } from "@codemirror/lang-json";
import {
  bracketMatching,
  codeFolding,
  ensureSyntaxTree,
  foldGutter,
  foldKeymap,
  HighlightStyle,
  indentOnInput,
  syntaxHighlighting,
} from "@codemirror/language";
import { type Diagnostic, linter, lintKeymap, setDiagnostics } from "@codemirror/lint";
import { MergeView } from "@codemirror/merge";
import { highlightSelectionMatches, search, searchKeymap } from "@codemirror/search";
import { Compartment, EditorState, type Extension, Transaction } from "@codemirror/state";
import {
  drawSelection,
  EditorView,
  highlightActiveLine,
  highlightActiveLineGutter,
  highlightSpecialChars,
  keymap,
  lineNumbers,
} from "@codemirror/view";
import { tags } from "@lezer/highlight";
import type { Violation } from "../api/types.ts";
import { schemaCompletion } from "./completion.ts";
import type { Json } from "./json_schema.ts";
import { rangeOfPointer } from "./pointer.ts";

interface JsonEditorOptions {
  readonly parent: HTMLElement;
  readonly text: string;
  /** For screen readers. */
  readonly label: string;
  readonly readOnly?: boolean;
  readonly onChange?: (text: string) => void;
}

/** An open editor. */
export interface JsonEditor {
  text(): string;
  /** Replaces the whole text; `undoable` keeps it in the editor's history. */
  setText(text: string, undoable?: boolean): void;
  setReadOnly(readOnly: boolean): void;
  /** The schema that completion proposes from. */
  setSchema(schema: Json | undefined): void;
  /** Marks each violation where its pointer leads. */
  showViolations(violations: readonly Violation[]): void;
  /** Puts the cursor where a pointer leads. */
  reveal(pointer: string): void;
  focus(): void;
  destroy(): void;
}

const highlight = HighlightStyle.define([
  { tag: tags.propertyName, color: "var(--code-name)" },
  { tag: tags.string, color: "var(--code-string)" },
  { tag: tags.number, color: "var(--code-number)" },
  { tag: [tags.bool, tags.null], color: "var(--code-word)" },
  { tag: [tags.separator, tags.squareBracket, tags.brace], color: "var(--text-2)" },
  { tag: tags.invalid, color: "var(--danger-text)" },
]);

const look = EditorView.theme({
  "&": { height: "100%", fontSize: "13px", backgroundColor: "var(--surface)", color: "var(--text)" },
  "&.cm-focused": { outline: "none" },
  ".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "1.65", overflow: "auto" },
  ".cm-content": { padding: "10px 0", caretColor: "var(--accent-text)" },
  ".cm-line": { padding: "0 16px 0 6px" },
  ".cm-cursor": { borderLeftColor: "var(--accent-text)", borderLeftWidth: "2px" },
  ".cm-gutters": { backgroundColor: "var(--surface)", color: "var(--text-3)", border: "none", paddingLeft: "6px" },
  ".cm-activeLine": { backgroundColor: "var(--line-active)" },
  ".cm-activeLineGutter": { backgroundColor: "transparent", color: "var(--text)" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": {
    backgroundColor: "var(--selection)",
  },
  ".cm-selectionMatch": { backgroundColor: "var(--selection)" },
  "&.cm-focused .cm-matchingBracket": {
    backgroundColor: "var(--selection)",
    outline: "1px solid var(--border-strong)",
  },
  ".cm-foldPlaceholder": {
    backgroundColor: "var(--surface-2)",
    border: "1px solid var(--border)",
    color: "var(--text-2)",
    borderRadius: "4px",
    padding: "0 6px",
  },
  ".cm-foldGutter .cm-gutterElement": { cursor: "pointer", padding: "0 4px" },
  ".cm-tooltip": {
    backgroundColor: "var(--raised)",
    color: "var(--text)",
    border: "1px solid var(--border)",
    borderRadius: "8px",
    boxShadow: "var(--shadow-2)",
    overflow: "hidden",
  },
  ".cm-tooltip-autocomplete > ul": { fontFamily: "var(--mono)", fontSize: "12.5px" },
  ".cm-tooltip.cm-tooltip-autocomplete > ul > li": { padding: "4px 10px" },
  ".cm-tooltip.cm-tooltip-autocomplete > ul > li[aria-selected]": {
    backgroundColor: "var(--accent)",
    color: "var(--on-accent)",
  },
  ".cm-completionDetail": { color: "inherit", opacity: "1", fontStyle: "normal", marginLeft: "1em" },
  ".cm-completionIcon": { display: "none" },
  ".cm-completionInfo": { padding: "6px 10px", fontFamily: "var(--sans)", maxWidth: "300px" },
  ".cm-diagnostic": { padding: "6px 10px", fontFamily: "var(--sans)" },
  ".cm-diagnostic-error": { borderLeft: "3px solid var(--danger)" },
  ".cm-lintRange-error": {
    backgroundImage: "none",
    textDecoration: "underline wavy var(--danger) 1px",
    textUnderlineOffset: "3px",
  },
  ".cm-panels": { backgroundColor: "var(--surface-2)", color: "var(--text)" },
  ".cm-panels.cm-panels-top": { borderBottom: "1px solid var(--border)" },
  ".cm-panel.cm-search": { padding: "8px 10px", fontFamily: "var(--sans)" },
  ".cm-textfield": {
    backgroundColor: "var(--surface)",
    border: "1px solid var(--border-strong)",
    borderRadius: "6px",
    padding: "3px 8px",
    color: "var(--text)",
  },
  ".cm-button": {
    backgroundImage: "none",
    backgroundColor: "var(--surface)",
    border: "1px solid var(--border-strong)",
    borderRadius: "6px",
    color: "var(--text)",
  },
  ".cm-searchMatch": { backgroundColor: "var(--warn-soft)" },
  ".cm-changedLine": { backgroundColor: "var(--accent-soft) !important" },
  ".cm-deletedChunk": { backgroundColor: "var(--danger-soft)" },
  ".cm-merge-a & .cm-changedText, .cm-deletedChunk .cm-deletedText": { background: "var(--danger-soft)" },
  "&.cm-merge-a .cm-changedLine": { backgroundColor: "var(--danger-soft) !important" },
  "&.cm-merge-b .cm-changedLine": { backgroundColor: "var(--ok-soft) !important" },
  "&.cm-merge-a .cm-changedText, &.cm-merge-b .cm-changedText": {
    background: "none",
    textDecoration: "underline 2px var(--text-3)",
    textUnderlineOffset: "3px",
  },
});

/**
 * Typing over a selection, done here and not by the browser: Chromium would keep the look of the replaced text in a style
 * attribute, which the policy of the page forbids.
 */
const typeOverSelection = EditorView.domEventHandlers({
  beforeinput(event, view) {
    const { from, to, empty } = view.state.selection.main;
    const { inputType, data } = event;
    if (empty || view.composing || view.state.readOnly || inputType !== "insertText" || !data) return false;
    const insert = () =>
      view.state.update(view.state.replaceSelection(data), { userEvent: "input.type", scrollIntoView: true });
    if (!view.state.facet(EditorView.inputHandler).some((handle) => handle(view, from, to, data, insert))) {
      view.dispatch(insert());
    }
    event.preventDefault();
    return true;
  },
});

const basics: Extension = [
  typeOverSelection,
  lineNumbers(),
  highlightSpecialChars(),
  drawSelection(),
  json(),
  syntaxHighlighting(highlight),
  look,
  EditorView.lineWrapping,
];

function shadowOf(parent: HTMLElement): ShadowRoot {
  return parent.shadowRoot ?? parent.attachShadow({ mode: "open" });
}

/** Opens an editor inside `parent`. */
export function createJsonEditor(options: JsonEditorOptions): JsonEditor {
  const root = shadowOf(options.parent);
  const readOnly = new Compartment();
  let schema: Json | undefined;
  let violations: readonly Violation[] = [];

  const violationDiagnostics = (view: EditorView): Diagnostic[] => {
    const text = view.state.doc.toString();
    const tree = ensureSyntaxTree(view.state, view.state.doc.length, 500);
    if (!tree) return [];
    return violations.map(({ path, message }) => ({
      ...rangeOfPointer(tree, text, path),
      severity: "error",
      message,
    }));
  };
  const parseErrors = jsonParseLinter();
  const view = new EditorView({
    parent: root as unknown as HTMLElement,
    root,
    state: EditorState.create({
      doc: options.text,
      extensions: [
        basics,
        highlightActiveLine(),
        highlightActiveLineGutter(),
        history(),
        codeFolding(),
        foldGutter(),
        indentOnInput(),
        bracketMatching(),
        closeBrackets(),
        autocompletion({ override: [schemaCompletion(() => schema)], activateOnTyping: true, icons: false }),
        search({ top: true }),
        highlightSelectionMatches(),
        linter((current) => {
          if (current.state.doc.length === 0) return [];
          const broken = parseErrors(current);
          return broken.length > 0 ? broken : violationDiagnostics(current);
        }, { delay: 300 }),
        keymap.of([
          ...closeBracketsKeymap,
          ...completionKeymap,
          ...searchKeymap,
          ...historyKeymap,
          ...foldKeymap,
          ...lintKeymap,
          ...defaultKeymap,
        ]),
        EditorView.contentAttributes.of({ "aria-label": options.label, tabindex: "0" }),
        EditorView.updateListener.of((update) => {
          if (!update.docChanged) return;
          violations = [];
          options.onChange?.(update.state.doc.toString());
        }),
        readOnly.of(EditorState.readOnly.of(options.readOnly ?? false)),
      ],
    }),
  });

  return {
    text: () => view.state.doc.toString(),
    setText(text, undoable = false) {
      const changes = { from: 0, to: view.state.doc.length, insert: text };
      view.dispatch({ changes, annotations: Transaction.addToHistory.of(undoable) });
    },
    setReadOnly(value) {
      view.dispatch({ effects: readOnly.reconfigure(EditorState.readOnly.of(value)) });
    },
    setSchema(value) {
      schema = value;
    },
    showViolations(value) {
      violations = value;
      view.dispatch(setDiagnostics(view.state, violationDiagnostics(view)));
    },
    reveal(pointer) {
      const tree = ensureSyntaxTree(view.state, view.state.doc.length, 500);
      if (!tree) return;
      const { from, to } = rangeOfPointer(tree, view.state.doc.toString(), pointer);
      view.dispatch({
        selection: { anchor: from, head: to },
        effects: EditorView.scrollIntoView(from, { y: "center" }),
      });
      view.focus();
    },
    focus: () => view.focus(),
    destroy: () => view.destroy(),
  };
}

interface MergeOptions {
  readonly parent: HTMLElement;
  readonly theirs: string;
  readonly mine: string;
  readonly onChange: (mine: string) => void;
}

/** Shows two versions of a document beside each other; the right one, "mine", can be edited. */
export function createMergeView(options: MergeOptions): { destroy(): void } {
  const root = shadowOf(options.parent);
  const view = new MergeView({
    parent: root as unknown as HTMLElement,
    root,
    a: {
      doc: options.theirs,
      extensions: [
        basics,
        EditorState.readOnly.of(true),
        EditorView.contentAttributes.of({ "aria-label": "Their version", tabindex: "0" }),
      ],
    },
    b: {
      doc: options.mine,
      extensions: [
        basics,
        history(),
        keymap.of([...historyKeymap, ...defaultKeymap]),
        EditorView.contentAttributes.of({ "aria-label": "Your version", tabindex: "0" }),
        EditorView.updateListener.of((update) => {
          if (update.docChanged) options.onChange(update.state.doc.toString());
        }),
      ],
    },
    collapseUnchanged: { margin: 3, minSize: 6 },
    gutter: true,
  });
  return { destroy: () => view.destroy() };
}
