/** @jsxRuntime automatic */
/** @jsxImportSource preact */
/// <reference lib="dom" />
/**
 * A list of rows of equal height of which only the visible ones exist, so that a million rows cost what thirty do. For the
 * keyboard it is a list box: arrows, Page Up and Down, Home and End move, Enter opens.
 */
import type { ComponentChildren } from "preact";
import { useEffect, useId, useLayoutEffect, useRef, useState } from "preact/hooks";

interface VirtualListProps {
  readonly label: string;
  readonly rows: number;
  /** Pixels. */
  readonly rowHeight: number;
  /** Index of the row that is open, or -1. */
  readonly selected: number;
  readonly row: (index: number) => ComponentChildren;
  /** Called with the rows that are visible now. */
  readonly onVisible: (first: number, last: number) => void;
  readonly onOpen: (index: number) => void;
  /** Scrolls back to the top when it changes. */
  readonly resetKey: string;
}

const OVERSCAN = 8;
/** Browsers stop placing things beyond some 17 million pixels; taller lists scroll in larger steps. */
const HEIGHT_MAX = 8_000_000;

/** The list box. */
export function VirtualList(props: VirtualListProps) {
  const { rows, rowHeight, selected, onVisible } = props;
  const box = useRef<HTMLDivElement>(null);
  const id = useId();
  const [view, setView] = useState({ top: 0, height: 600 });
  const [active, setActive] = useState(0);

  const fullHeight = rows * rowHeight;
  const height = Math.min(fullHeight, HEIGHT_MAX);
  const scale = height > view.height && fullHeight > height ? (fullHeight - view.height) / (height - view.height) : 1;
  const offset = view.top * scale;
  const first = Math.max(0, Math.floor(offset / rowHeight) - OVERSCAN);
  const last = Math.min(rows - 1, Math.ceil((offset + view.height) / rowHeight) + OVERSCAN);

  useLayoutEffect(() => {
    const element = box.current!;
    const observer = new ResizeObserver(() => setView({ top: element.scrollTop, height: element.clientHeight }));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  useEffect(() => {
    box.current!.scrollTop = 0;
    setActive(0);
  }, [props.resetKey]);
  useEffect(() => {
    if (selected >= 0) setActive(selected);
  }, [selected]);
  useEffect(() => onVisible(first, last), [first, last, rows]);

  const reveal = (index: number) => {
    const element = box.current!;
    const above = index * rowHeight;
    if (above < offset) element.scrollTop = above / scale;
    else if (above + rowHeight > offset + view.height) element.scrollTop = (above + rowHeight - view.height) / scale;
  };
  const move = (index: number) => {
    const next = Math.max(0, Math.min(rows - 1, index));
    setActive(next);
    reveal(next);
  };
  const pressed = (event: KeyboardEvent) => {
    const page = Math.max(1, Math.floor(view.height / rowHeight) - 1);
    const moves: Record<string, number> = {
      ArrowDown: active + 1,
      ArrowUp: active - 1,
      PageDown: active + page,
      PageUp: active - page,
      Home: 0,
      End: rows - 1,
    };
    const target = moves[event.key];
    if (target !== undefined) move(target);
    else if (event.key === "Enter" || event.key === " ") props.onOpen(active);
    else return;
    event.preventDefault();
  };

  const visible: ComponentChildren[] = [];
  for (let index = first; index <= last; index++) {
    visible.push(
      <div
        key={index}
        id={`${id}-${index}`}
        role="option"
        class={index === active ? "row active" : "row"}
        aria-selected={index === selected}
        aria-posinset={index + 1}
        aria-setsize={rows}
        style={{ transform: `translateY(${view.top + index * rowHeight - offset}px)`, height: `${rowHeight}px` }}
        onClick={() => {
          setActive(index);
          props.onOpen(index);
        }}
      >
        {props.row(index)}
      </div>,
    );
  }
  return (
    <div
      ref={box}
      class="virtual-list"
      role="listbox"
      tabIndex={0}
      aria-label={props.label}
      aria-activedescendant={rows > 0 ? `${id}-${active}` : undefined}
      onKeyDown={pressed}
      onScroll={(event) => setView({ top: event.currentTarget.scrollTop, height: event.currentTarget.clientHeight })}
    >
      <div class="virtual-space" role="presentation" style={{ height: `${height}px` }}>{visible}</div>
    </div>
  );
}
