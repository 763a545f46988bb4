/** `POST /admin/schemas/{schema_id}/check`: how many stored documents a candidate for a template would refuse. */
import {
  RETRY_AFTER_S,
  SCHEMA_BYTES_MAX,
  SCHEMA_CHECK_EXAMPLES_MAX,
  SCHEMA_CHECK_MS_MAX,
  SCHEMA_CHECK_PAGE,
  SCHEMA_CHECK_SLICE_MS,
  SCHEMA_CHECK_TURNS,
  SCHEMA_CHECK_VIOLATIONS_MAX,
} from "../../../shared/limits.ts";
import type { EntityKey, SchemaId } from "../../../shared/names.ts";
import { type Failure, failure, type Violation } from "../../../shared/outcome.ts";
import { compileSchema } from "../../../shared/schema/validator.ts";
import { sleep } from "../../../shared/seams/clock.ts";
import { Turns } from "../../../shared/turns.ts";
import { describeProblem } from "../../control/schemas.ts";
import { readBody } from "./bodies.ts";
import { jsonContent, ref, SCHEMA_ID_PARAMETER } from "./components.ts";
import { refuse } from "./errors.ts";
import { failed, json } from "./reply.ts";
import { type Call, type RestDeps, type Route, schemaIdOfCall, WRITE } from "./route.ts";

interface Example {
  readonly key: EntityKey;
  readonly violations: readonly Violation[];
}

/** The answer. */
interface SchemaCheck {
  readonly checked: number;
  readonly failing: number;
  readonly unreadable: number;
  readonly complete: boolean;
  readonly examples: readonly Example[];
}

/** What is found when another check begins before this one. */
const OVERTAKEN: SchemaCheck = { checked: 0, failing: 0, unreadable: 0, complete: false, examples: [] };

const CHECKS_WAIT = failure("overloaded", "Too many checks are waiting already", { retryAfterS: RETRY_AFTER_S });

/** The route of checks. */
export function schemaCheckRoutes(deps: RestDeps): readonly Route[] {
  const { entities, clock } = deps;
  /** One check at a time, the latest: it works on the thread that answers everybody, and editors ask again as they type. */
  let latest = 0;
  const turns = new Turns(clock, SCHEMA_CHECK_TURNS);

  async function run(schemaId: SchemaId, text: Uint8Array, mine: number): Promise<SchemaCheck | Failure> {
    if (mine !== latest) return OVERTAKEN;
    const compiled = compileSchema(text);
    if (compiled.kind === "invalid") throw refuse("invalid_schema", describeProblem(compiled));
    const { validator } = compiled;
    const untilMs = clock.monotonic() + SCHEMA_CHECK_MS_MAX;
    let sliceEndMs = clock.monotonic() + SCHEMA_CHECK_SLICE_MS;
    const examples: Example[] = [];
    let checked = 0;
    let failing = 0;
    let unreadable = 0;
    let after = "";
    for (;;) {
      const page = await entities.list(schemaId, { prefix: "", after, limit: SCHEMA_CHECK_PAGE, values: true });
      if (page.kind === "failed") return page;
      for (const { key, value } of page.entries) {
        if (value === undefined) {
          unreadable++;
          continue;
        }
        const violations = validator.validate(value);
        checked++;
        if (violations.length > 0 && ++failing <= SCHEMA_CHECK_EXAMPLES_MAX) {
          const told = violations.slice(0, SCHEMA_CHECK_VIOLATIONS_MAX);
          examples.push({ key, violations: told.map(({ path, message }) => ({ key, path, message })) });
        }
        if (clock.monotonic() < sliceEndMs) continue;
        // Others have waited long enough.
        await sleep(clock, 0);
        sliceEndMs = clock.monotonic() + SCHEMA_CHECK_SLICE_MS;
      }
      const complete = page.next === null;
      if (complete || mine !== latest || deps.stopping.aborted || clock.monotonic() >= untilMs) {
        return { checked, failing, unreadable, complete, examples };
      }
      after = page.next;
    }
  }

  async function check(call: Call): Promise<Response> {
    const schemaId = schemaIdOfCall(call);
    const text = await readBody(call.request, SCHEMA_BYTES_MAX, clock);
    const mine = ++latest;
    const result = await turns.run(() => run(schemaId, text, mine), CHECKS_WAIT, text.length);
    return "kind" in result ? failed(call, result) : json(call, 200, result);
  }

  return [{
    method: "POST",
    path: "/admin/schemas/{schema_id}/check",
    access: WRITE,
    operation: "schema",
    handle: check,
    describe: {
      operationId: "checkSchema",
      tag: "Schemas",
      summary: "Check stored documents against a candidate",
      description: "Nothing is changed. The body is the JSON Schema that is thought of; the answer says how many of " +
        `the stored documents it would refuse, and shows up to ${SCHEMA_CHECK_EXAMPLES_MAX} of them. Ends after ` +
        `${SCHEMA_CHECK_MS_MAX / 1000} s at the latest, or when another check begins; \`complete\` is false then.`,
      parameters: [SCHEMA_ID_PARAMETER],
      requestBody: {
        required: true,
        content: jsonContent(ref("Template"), { type: "object", required: ["title"] }),
      },
      responses: {
        "200": {
          description: "What was found.",
          content: jsonContent(ref("SchemaCheck"), {
            checked: 1204,
            failing: 1,
            unreadable: 0,
            complete: true,
            examples: [{
              key: "chat_1",
              violations: [{ key: "chat_1", path: "", message: "must have required property 'title'" }],
            }],
          }),
        },
      },
      errors: ["invalid_schema", "too_large", "unsupported_media_type"],
    },
  }];
}
