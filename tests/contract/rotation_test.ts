/** A master key is replaced on a directory while clients work and programs are killed. */
import { rotateUnderLoad } from "./rotation.ts";

Deno.test("a key is rotated under load, with kill -9 in the middle: nothing is unreadable, and the old key can go", () =>
  rotateUnderLoad({ entities: 6_000, mainEndsBy: "SIGKILL" }));
