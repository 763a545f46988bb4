/** `/openapi.json` and `/docs`: the API described for programs, and the same as a page for people that needs no script. */
import { createHash } from "node:crypto";
import { inPieces } from "../../../shared/bytes.ts";
import { COMPONENTS } from "./components.ts";
import { describeRoutes, type OpenApiDocument, type OpenApiOperation } from "./openapi.ts";
import type { JsonSchema, MediaType, Parameter } from "./openapi_types.ts";
import { reply } from "./reply.ts";
import { type Call, PUBLIC, type RestDeps, type Route } from "./route.ts";
import { pageHeaders, uiResponse } from "./ui.ts";
import stylesheet from "./docs.css" with { type: "text" };

/** Text as HTML. */
export function escapeHtml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}

/** The two kinds of markup that the descriptions use: `code` and paragraphs. */
function prose(text: string | undefined): string {
  if (text === undefined) return "";
  return text.split("\n\n").map((paragraph) =>
    `<p>${escapeHtml(paragraph).replace(/`([^`]+)`/g, "<code>$1</code>")}</p>`
  ).join("");
}

function inline(text: string): string {
  return prose(text).replace(/^<p>|<\/p>$/g, "");
}

/** A schema in a few words, such as `string` or `array of ListEntry`. */
function typeOf(schema: JsonSchema | undefined): string {
  if (schema === undefined) return "";
  if (typeof schema.$ref === "string") {
    const name = schema.$ref.slice(schema.$ref.lastIndexOf("/") + 1);
    return `<a href="#schema-${name}">${escapeHtml(name)}</a>`;
  }
  const options = (schema.oneOf ?? schema.anyOf) as readonly JsonSchema[] | undefined;
  if (options !== undefined && schema.type === undefined) return options.map(typeOf).join(" or ");
  if (schema.const !== undefined) return `<code>${escapeHtml(JSON.stringify(schema.const))}</code>`;
  if (Array.isArray(schema.enum)) {
    return schema.enum.map((value) => `<code>${escapeHtml(JSON.stringify(value))}</code>`).join(" | ");
  }
  if (schema.type === "array") return `array of ${typeOf(schema.items as JsonSchema)}`;
  const types = schema.type === undefined ? ["any JSON"] : [schema.type].flat() as string[];
  return types.map((type) => escapeHtml(type === "string" && schema.format ? String(schema.format) : type)).join(
    " or ",
  );
}

function parameterRows(parameters: readonly Parameter[]): string {
  const rows = parameters.map(({ name, in: where, required, description, schema }) =>
    `<tr><th scope="row"><code>${escapeHtml(name)}</code></th><td>${where}${required ? ", required" : ""}</td><td>${
      typeOf(schema)
    }</td><td>${inline(description)}</td></tr>`
  );
  return `<table><caption>Parameters</caption><thead><tr><th scope="col">Name</th><th scope="col">In</th>` +
    `<th scope="col">Type</th><th scope="col">Meaning</th></tr></thead><tbody>${rows.join("")}</tbody></table>`;
}

function exampleBlock(value: unknown): string {
  return `<pre tabindex="0"><code>${
    escapeHtml(typeof value === "string" ? value : JSON.stringify(value, null, 2))
  }</code></pre>`;
}

function mediaBlock(type: string, media: MediaType): string {
  const examples = Object.values(media.examples ?? {}).map(({ summary, value }) =>
    `<p class="label">${escapeHtml(summary ?? "Example")}</p>${exampleBlock(value)}`
  );
  if (media.example !== undefined) examples.push(exampleBlock(media.example));
  return `<p class="label"><code>${escapeHtml(type)}</code> ${typeOf(media.schema)}</p>${examples.join("")}`;
}

/** The request as a line for a shell. */
function curl(method: string, path: string, operation: OpenApiOperation): string {
  const query = (operation.parameters ?? []).filter((one) => one.in === "query" && one.required)
    .map((one) => `${one.name}=${encodeURIComponent(String(one.example ?? ""))}`).join("&");
  const target = (operation.parameters ?? []).filter((one) => one.in === "path").reduce(
    (text, one) => text.replace(`{${one.name}}`, encodeURIComponent(String(one.example ?? "id"))),
    path,
  );
  const lines = [
    `curl ${method === "get" ? "" : `-X ${method.toUpperCase()} `}"$SERVER${target}${query === "" ? "" : `?${query}`}"`,
  ];
  if (operation.security.length > 0) lines.push(`-H "Authorization: Bearer $KEY"`);
  const [body] = Object.entries(operation.requestBody?.content ?? {});
  if (body !== undefined) {
    const [type, media] = body;
    lines.push(`-H "Content-Type: ${type}"`);
    const value = media.example ?? Object.values(media.examples ?? {})[0]?.value;
    lines.push(value === undefined ? `--data-binary @file` : `-d '${JSON.stringify(value)}'`);
  }
  return lines.join(" \\\n  ");
}

function operationBlock(method: string, path: string, operation: OpenApiOperation): string {
  const { operationId, summary, description, parameters, requestBody, responses } = operation;
  const body = requestBody === undefined
    ? ""
    : `<h4>Body</h4>${Object.entries(requestBody.content).map(([type, media]) => mediaBlock(type, media)).join("")}`;
  const answers = Object.entries(responses).map(([status, response]) => {
    const content = Number(status) < 400
      ? Object.entries(response.content ?? {}).map(([type, media]) => mediaBlock(type, media)).join("")
      : "";
    return `<dt><span class="status s${status[0]}">${status}</span></dt><dd>${
      prose(response.description)
    }${content}</dd>`;
  });
  return `<article id="${operationId}"><h3><span class="method ${method}">${method.toUpperCase()}</span> <code>${
    escapeHtml(path)
  }</code></h3><p class="summary">${escapeHtml(summary)}</p>${prose(description)}${
    parameters === undefined ? "" : parameterRows(parameters)
  }${body}<h4>Answers</h4><dl>${answers.join("")}</dl><details><summary>As a command</summary>${
    exampleBlock(curl(method, path, operation))
  }</details></article>`;
}

/** The page. Everything in it is from the document, and everything is escaped. */
export function renderDocs(document: OpenApiDocument): string {
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation }))
  );
  const sections = document.tags.map(({ name, description }) => {
    const inTag = operations.filter(({ operation }) => operation.tags.includes(name));
    return {
      name,
      nav: `<li><a href="#tag-${name}">${escapeHtml(name)}</a><ul>${
        inTag.map(({ operation }) =>
          `<li><a href="#${operation.operationId}">${escapeHtml(operation.summary)}</a></li>`
        )
          .join("")
      }</ul></li>`,
      body: `<section id="tag-${name}"><h2>${escapeHtml(name)}</h2>${prose(description)}${
        inTag.map(({ path, method, operation }) => operationBlock(method, path, operation)).join("")
      }</section>`,
    };
  });
  const schemas = Object.entries(COMPONENTS).map(([name, schema]) =>
    `<details id="schema-${name}"><summary><code>${name}</code></summary>${exampleBlock(schema)}</details>`
  );
  const { title, version, description } = document.info as { title: string; version: string; description: string };
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>${escapeHtml(title)} API</title>` +
    `<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">` +
    `<style>${stylesheet}</style></head><body><a class="skip" href="#content">To the content</a>` +
    `<nav aria-label="Operations"><p class="home"><a href="/">${escapeHtml(title)}</a></p><ul>${
      sections.map(({ nav }) => nav).join("")
    }<li><a href="#schemas">Schemas of bodies</a></li></ul></nav><main id="content"><h1>${escapeHtml(title)} API</h1>` +
    `<p class="label">Version ${escapeHtml(version)} · <a href="/openapi.json">openapi.json</a></p>${
      prose(description)
    }${sections.map(({ body }) => body).join("")}<section id="schemas"><h2>Schemas of bodies</h2>${
      schemas.join("")
    }</section></main></body></html>`;
}

/** The routes of the description. `routes` answers all routes, these included. */
export function docsRoutes({ ui, version }: RestDeps, routes: () => readonly Route[]): readonly Route[] {
  let document: OpenApiDocument | undefined;
  let json: Uint8Array | undefined;
  let page: { readonly html: Uint8Array; readonly policy: string } | undefined;
  const encoder = new TextEncoder();

  const described = () => document ??= describeRoutes(routes(), version);

  function openapi(call: Call): Response {
    const bytes = json ??= encoder.encode(JSON.stringify(described()));
    return reply(call, 200, inPieces(() => bytes), "application/json", [["content-length", String(bytes.length)]]);
  }

  function docs(call: Call): Response {
    if (page === undefined) {
      const hash = createHash("sha256").update(stylesheet).digest("base64");
      page = {
        html: encoder.encode(renderDocs(described())),
        policy: `default-src 'none'; style-src 'sha256-${hash}'; base-uri 'none'; form-action 'none'; ` +
          "frame-ancestors 'none'",
      };
    }
    const { html } = page;
    return new Response(inPieces(() => html), {
      status: 200,
      headers: pageHeaders(call, {
        "content-type": "text/html; charset=utf-8",
        "content-length": String(html.length),
        "content-security-policy": page.policy,
        "cache-control": "no-cache",
      }),
    });
  }

  function home(call: Call): Response {
    const answer = uiResponse(ui, call, call.request, "/");
    if (answer === undefined) throw new Error("the management UI has no first page");
    return answer;
  }

  const html = { "text/html": { schema: { type: "string" } } };
  return [
    {
      method: "GET",
      path: "/openapi.json",
      access: PUBLIC,
      operation: "other",
      handle: openapi,
      describe: {
        operationId: "openapi",
        tag: "Server",
        summary: "This description",
        responses: {
          "200": { description: "OpenAPI 3.1.", content: { "application/json": { schema: { type: "object" } } } },
        },
      },
    },
    {
      method: "GET",
      path: "/docs",
      access: PUBLIC,
      operation: "other",
      handle: docs,
      describe: {
        operationId: "docs",
        tag: "Server",
        summary: "This description as a page",
        responses: { "200": { description: "A page without scripts.", content: html } },
      },
    },
    {
      method: "GET",
      path: "/",
      access: PUBLIC,
      operation: "other",
      handle: home,
      describe: {
        operationId: "ui",
        tag: "Server",
        summary: "The management UI",
        description: "Its files lie beside it.",
        responses: {
          "200": { description: "The first page.", content: html },
          "304": { description: "The browser has it." },
        },
      },
    },
  ];
}
