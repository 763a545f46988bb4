/** @jsxRuntime automatic */
/** @jsxImportSource preact */
/// <reference lib="dom" />
/** Pages that are fetched when they are opened for the first time. */
import type { ComponentType } from "preact";
import { useEffect, useState } from "preact/hooks";
import { Problem, Skeleton } from "../components/states.tsx";

/** A component that stands for one that `load` brings. */
export function lazyPage(load: () => Promise<ComponentType>): ComponentType {
  let loaded: ComponentType | null = null;
  return function LazyPage() {
    const [failed, setFailed] = useState<unknown>(null);
    const [, setReady] = useState(false);
    const fetchPage = () => {
      setFailed(null);
      load().then((component) => {
        loaded = component;
        setReady(true);
      }, setFailed);
    };
    useEffect(() => {
      if (!loaded) fetchPage();
    }, []);
    if (loaded) {
      const Page = loaded;
      return <Page />;
    }
    if (failed) {
      return (
        <div class="page">
          <Problem
            error={new Error(
              "This part of the page could not be fetched. The program may have been updated: reload the page.",
            )}
            retry={() => location.reload()}
          />
        </div>
      );
    }
    return (
      <div class="page">
        <Skeleton lines={6} />
      </div>
    );
  };
}
