/** Holds every answer that a test gets against the description of its route: status, media type and body must be in it. */
import assert from "assert";
import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";
import { COMPONENTS } from "./components.ts";
import type { OpenApiDocument } from "./openapi.ts";

/** Checks answers against an OpenAPI document. */
export class DescriptionCheck {
  readonly #ajv = new Ajv2020({ strict: false, validateFormats: false });
  readonly #document: OpenApiDocument;
  readonly #paths: readonly { readonly template: string; readonly pattern: RegExp }[];
  readonly #validators = new Map<string, ValidateFunction>();

  constructor(document: OpenApiDocument) {
    this.#document = document;
    this.#ajv.addSchema({ $id: "openapi", components: { schemas: COMPONENTS } });
    this.#paths = Object.keys(document.paths).map((template) => ({
      template,
      pattern: new RegExp(`^${template.replace(/[.]/g, "\\.").replace(/\{[^}]+\}/g, "[^/]+")}$`),
    }));
  }

  /** @throws {AssertionError} when the answer is not one that the description allows. */
  async check(method: string, path: string, response: Response): Promise<void> {
    const plain = path.split("?", 1)[0]!;
    const template = this.#paths.find(({ pattern }) => pattern.test(plain))?.template;
    if (template === undefined) return;
    const operation = this.#document.paths[template]![(method === "HEAD" ? "GET" : method).toLowerCase()];
    if (operation === undefined) return;
    const where = `${method} ${template} → ${response.status}`;
    const described = operation.responses[response.status];
    assert.ok(described, `${where} is not described`);
    for (const name of Object.keys(described.headers ?? {})) {
      const optional: boolean = (name === "ETag" && response.status === 412) || template === "/entity/{schema_id}";
      assert.ok(optional || response.headers.has(name), `${where} lacks the header ${name}`);
    }
    const type = response.headers.get("content-type")?.split(";", 1)[0] ?? null;
    if (response.body === null) return;
    const media = type === null ? undefined : described.content?.[type];
    assert.ok(media, `${where} with ${type} is not described`);
    if (type !== "application/json" || media.schema === undefined) return;
    const body = JSON.parse(await response.clone().text());
    const id = `${where} ${type}`;
    let validate = this.#validators.get(id);
    if (validate === undefined) {
      const schema = JSON.parse(JSON.stringify(media.schema).replaceAll(`"#/components/`, `"openapi#/components/`));
      this.#validators.set(id, validate = this.#ajv.compile(schema));
    }
    assert.ok(validate(body), `${where}: ${this.#ajv.errorsText(validate.errors)} in ${JSON.stringify(body)}`);
  }
}
