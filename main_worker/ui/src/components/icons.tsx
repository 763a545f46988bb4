/** @jsxRuntime automatic */
/** @jsxImportSource preact */
/// <reference lib="dom" />
/** The pictures on buttons and in the navigation: strokes on a 20 by 20 grid, drawn in the colour of the text. */

const SHAPES = {
  overview: "M3 13.5 7 8.5l3.2 3L17 4.5M3 17h14",
  documents: "M6 2.8h5.6L15.5 7v10.2H6zM11.4 3v4.2h4M8.4 10.6h4.6M8.4 13.6h4.6",
  schemas:
    "M8 3.5c-2 0-2.4 1-2.4 2.6 0 2 .2 3-2.1 3.9 2.3.9 2.1 1.9 2.1 3.9 0 1.6.4 2.6 2.4 2.6M12 3.5c2 0 2.4 1 2.4 2.6 0 2-.2 3 2.1 3.9-2.3.9-2.1 1.9-2.1 3.9 0 1.6-.4 2.6-2.4 2.6",
  keys: "M12.6 3a4.4 4.4 0 1 1-3.9 6.4L3 15.2V17h2.6v-1.7h1.7v-1.7h1.6l1.5-1.6M13.8 6.2h.01",
  operations: "M3 6h8M15 6h2M3 14h2M9 14h8M13 8a2 2 0 1 0 0-4 2 2 0 0 0 0 4zM7 16a2 2 0 1 0 0-4 2 2 0 0 0 0 4z",
  sun:
    "M10 13.4a3.4 3.4 0 1 0 0-6.8 3.4 3.4 0 0 0 0 6.8zM10 2v1.6M10 16.4V18M2 10h1.6M16.4 10H18M4.3 4.3l1.2 1.2M14.5 14.5l1.2 1.2M4.3 15.7l1.2-1.2M14.5 5.5l1.2-1.2",
  moon: "M16.4 12.2A7 7 0 0 1 7.8 3.6a7 7 0 1 0 8.6 8.6z",
  leave: "M8 3H4v14h4M12.5 6.5 16 10l-3.5 3.5M16 10H8",
  plus: "M10 4v12M4 10h12",
  search: "M8.8 14.2a5.4 5.4 0 1 0 0-10.8 5.4 5.4 0 0 0 0 10.8zM12.8 12.8 17 17",
  copy: "M7 7V3.5h9.5V13H13M3.5 7H13v9.5H3.5z",
  check: "m4 10.5 4 4 8-9",
  trash: "M3.5 5.5h13M8 5.5V3.4h4v2.1M5.5 5.5l.7 11h7.6l.7-11M8.4 8.6v5M11.6 8.6v5",
  back: "M12 4l-6 6 6 6",
  close: "m5 5 10 10M15 5 5 15",
  more: "M4.5 10h.01M10 10h.01M15.5 10h.01",
  warning: "M10 3 18 16.6H2zM10 8v4M10 14.4h.01",
  info: "M10 17.5a7.5 7.5 0 1 0 0-15 7.5 7.5 0 0 0 0 15zM10 9.2v4.4M10 6.4h.01",
  download: "M10 3v9.5M6 9l4 4 4-4M3.5 16.5h13",
  upload: "M10 13V3.5M6 7l4-4 4 4M3.5 16.5h13",
  refresh: "M16 8A6.4 6.4 0 0 0 4.6 6.4L3.4 8M3.4 4v4h4M4 12a6.4 6.4 0 0 0 11.4 1.6l1.2-1.6M16.6 16v-4h-4",
  external: "M8 4.5H3.5v12h12V12M11.5 3.5h5v5M16.2 3.8 9 11",
  terminal: "m4 5.5 4.5 4.5L4 14.5M10 15h6.5",
  format: "M3.5 5h13M7 10h9.5M7 15h9.5",
  undo: "M7 4 3.5 7.5 7 11M3.5 7.5h8.3a4.3 4.3 0 0 1 0 8.6H7",
} as const;

/** A picture that there is. */
export type IconName = keyof typeof SHAPES;

/** Hidden from screen readers: the button that holds it says what it does. */
export function Icon({ name, size = 18 }: { name: IconName; size?: number }) {
  return (
    <svg
      class="icon"
      width={size}
      height={size}
      viewBox="0 0 20 20"
      fill="none"
      stroke="currentColor"
      stroke-width={name === "more" ? "2.4" : "1.5"}
      stroke-linecap="round"
      stroke-linejoin="round"
      aria-hidden="true"
      focusable="false"
    >
      <path d={SHAPES[name]} />
    </svg>
  );
}
