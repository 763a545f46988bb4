/** Bad neighbours of workers on a directory. */
import { bearDeaf, bearGarbled, bearSilent } from "./neighbours.ts";

Deno.test("a worker that does not answer", () => bearSilent());

Deno.test("a worker that answers garbage", () => bearGarbled());

Deno.test("a worker that takes connections and reads nothing", () => bearDeaf());
