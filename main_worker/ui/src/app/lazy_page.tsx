/** @jsxRuntime automatic */
/** @jsxImportSource preact */
/// <reference lib="dom" />
/** Pages that are fetched when they are opened for the first time. */
import type { ComponentType } from "preact";
import { Problem, Skeleton } from "../components/states.tsx";
import { useLazyModule } from "./lazy_module.ts";

/** A component that stands for one that `load` brings. */
export function lazyPage(load: () => Promise<ComponentType>): ComponentType {
  return function LazyPage() {
    const { part: Page, problem, retry } = useLazyModule(load);
    if (Page) return <Page />;
    return <div class="page">{problem ? <Problem error={problem} retry={retry} /> : <Skeleton lines={6} />}</div>;
  };
}
