/** Asks before unsaved work is left: by a link, the back button, or closing the tab. */
import { useEffect } from "preact/hooks";
import { useApp } from "./app.ts";
import type { Route } from "./router.ts";

/** While `dirty`, leaving asks `title` first. Routes that `stays` accepts keep the work and need no question. */
export function useLeaveGuard(dirty: boolean, title: string, stays: (to: Route) => boolean = () => false): void {
  const { router, questions } = useApp();
  useEffect(() => {
    if (!dirty) return;
    router.guard = async (to) =>
      stays(to) || await questions.ask({
        title,
        text: "What you have changed here is not saved.",
        confirm: "Discard",
        danger: true,
      });
    return () => {
      router.guard = null;
    };
  });
}
