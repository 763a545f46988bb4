/** @jsxRuntime automatic */
/** @jsxImportSource preact */
/// <reference lib="dom" />
/** Catches what nobody expected inside a page, so that the rest of the window goes on working. */
import { Component, type ComponentChildren } from "preact";
import { Problem } from "./states.tsx";

interface State {
  readonly failed: boolean;
}

/** Shows a way out in place of children that threw. */
export class ErrorBoundary extends Component<{ children: ComponentChildren }, State> {
  override state: State = { failed: false };

  override componentDidCatch(error: unknown): void {
    console.error(error);
    this.setState({ failed: true });
  }

  override render() {
    if (!this.state.failed) return this.props.children;
    const error = new Error(
      "This page failed unexpectedly. Reload it; if it happens again, the console names the cause.",
    );
    return (
      <div class="page">
        <Problem error={error} retry={() => location.reload()} />
      </div>
    );
  }
}
