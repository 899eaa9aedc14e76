// Shows /openapi.json. Everything is put in as text, never as markup.
"use strict";

const METHODS = ["get", "post", "put", "patch", "delete"];
const DEEPEST = 6;
let contract = {};

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children.filter((child) => child !== null && child !== ""));
  return made;
}

function resolved(schema) {
  if (!schema || !schema.$ref) return [schema || {}, ""];
  const parts = schema.$ref.replace(/^#\//, "").split("/");
  return [parts.reduce((node, part) => (node || {})[part], contract) || {}, parts[parts.length - 1]];
}

function typeOf(schema) {
  const [found, name] = resolved(schema);
  if (name) return name;
  if (found.enum) return found.enum.map((value) => JSON.stringify(value)).join(" | ");
  if ("const" in found) return JSON.stringify(found.const);
  const variants = found.oneOf || found.anyOf || found.allOf;
  if (variants) return variants.map(typeOf).join(" | ");
  if (found.type === "array") return `list of ${typeOf(found.items)}`;
  const type = Array.isArray(found.type) ? found.type.join(" | ") : found.type || "anything";
  return found.format ? `${type} (${found.format})` : type;
}

function limitsOf(schema) {
  const [found] = resolved(schema);
  const names = ["minLength", "maxLength", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum",
    "minItems", "maxItems", "pattern", "default"];
  return names.filter((name) => name in found).map((name) => `${name} ${JSON.stringify(found[name])}`).join(", ");
}

function fields(schema, depth = 0) {
  const [found] = resolved(schema);
  if (depth > DEEPEST) return null;
  if (found.type === "array") return fields(found.items, depth);
  const variants = found.oneOf || found.anyOf || found.allOf;
  if (variants) return element("div", {}, ...variants.map((each) => fields(each, depth + 1)));
  if (!found.properties) return null;
  const required = new Set(found.required || []);
  const items = Object.entries(found.properties).map(([name, property]) => element("li", {},
    element("code", {}, name), ` ${typeOf(property)} `,
    element("span", { class: "faint" },
      [required.has(name) ? "" : "optional", limitsOf(property), resolved(property)[0].description || ""]
        .filter(Boolean).join(" · ")),
    fields(property, depth + 1)));
  return element("ul", { class: "fields" }, ...items);
}

function content(title, described) {
  if (!described || !described.content) return null;
  const parts = Object.entries(described.content).map(([media, { schema }]) => element("div", {},
    element("span", {}, element("code", {}, media), ` ${typeOf(schema)}`), fields(schema)));
  return element("div", {}, element("h3", {}, title), ...parts);
}

function parameters(list) {
  if (!list || !list.length) return null;
  const rows = list.map((each) => resolved(each)[0]).map((each) => element("tr", {},
    element("td", {}, element("code", {}, each.name)),
    element("td", {}, each.in + (each.required ? ", required" : "")),
    element("td", {}, typeOf(each.schema), " ", element("span", { class: "faint" }, limitsOf(each.schema))),
    element("td", {}, each.description || "")));
  const heads = ["Parameter", "Where", "Type", ""].map((text) => element("th", {}, text));
  return element("table", {}, element("tr", {}, ...heads), ...rows);
}

function inside(operation) {
  const made = element("div", { class: "inside" });
  const access = operation["x-permission"] ? `Needs the permission ${operation["x-permission"]}.`
    : operation.security ? "Needs an access token." : "Open to anybody.";
  made.append(element("p", {}, operation.description || "", " ", element("span", { class: "faint" }, access)));
  const answers = Object.entries(operation.responses || {}).map(([status, answer]) => {
    const [found] = resolved(answer);
    return content(`${status} ${found.description || ""}`, found)
      || element("h3", {}, `${status} ${found.description || ""}`);
  });
  const parts = [parameters(operation.parameters), content("Body", resolved(operation.requestBody)[0]), ...answers];
  made.append(...parts.filter(Boolean));
  return made;
}

function row(path, method, operation) {
  const summary = element("summary", {},
    element("span", { class: `method ${method}` }, method.toUpperCase()),
    element("span", { class: "path" }, path),
    element("span", { class: "faint" }, operation.summary || ""));
  const made = element("details", { class: "operation" }, summary);
  made.id = operation.operationId || `${method}-${path}`;
  made.dataset.words = [path, method, operation.operationId, operation.summary, operation.description,
    operation["x-permission"], ...(operation.tags || [])].join(" ").toLowerCase();
  made.addEventListener("toggle", () => {
    if (made.open && !made.querySelector(".inside")) made.append(inside(operation));
  });
  return made;
}

function show() {
  const groups = new Map((contract.tags || []).map(({ name }) => [name, []]));
  for (const [path, item] of Object.entries(contract.paths || {})) {
    for (const method of METHODS.filter((each) => each in item)) {
      const tag = (item[method].tags || ["other"])[0];
      if (!groups.has(tag)) groups.set(tag, []);
      groups.get(tag).push(row(path, method, item[method]));
    }
  }
  for (const [tag, rows] of groups) {
    document.getElementById("services").append(element("a", { href: `#service-${tag}` }, tag));
    const section = element("section", { id: `service-${tag}` }, element("h2", {}, tag), ...rows);
    document.getElementById("operations").append(section);
  }
}

function search() {
  const words = document.getElementById("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  let found = 0;
  for (const each of document.querySelectorAll("details.operation")) {
    each.hidden = !words.every((word) => each.dataset.words.includes(word));
    found += each.hidden ? 0 : 1;
  }
  for (const section of document.querySelectorAll("section")) {
    section.hidden = !section.querySelector("details.operation:not([hidden])");
  }
  document.getElementById("told").textContent = `${found} operations`;
}

async function start() {
  try {
    const answer = await fetch("/openapi.json");
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    contract = await answer.json();
  } catch (error) {
    document.getElementById("told").textContent = `The document cannot be loaded (${error.message}).`;
    return;
  }
  show();
  document.getElementById("search").addEventListener("input", search);
  search();
  const asked = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (asked && asked.tagName === "DETAILS") asked.open = true;
  if (asked) asked.scrollIntoView();
}

start();
