// Reads OpenAPI documents: the API's, if the sandbox serves one, and the control API's.
import { el } from "./dom.js";

const main = document.getElementById("main");

function operation(method, path, one) {
  return el("div", { class: "op" }, el("div", {}, el("span", { class: "method" }, method.toUpperCase()), el("code", {}, path)), el("div", {}, one.summary || ""),
    one.description && one.description !== one.summary ? el("div", { class: "soft" }, one.description) : null,
    one.parameters && one.parameters.length ? el("div", { class: "soft" }, "Parameters: ", one.parameters.map((parameter) => parameter.name || parameter.$ref?.split("/").pop()).join(", ")) : null,
    one.requestBody ? el("details", {}, el("summary", {}, "Body"), el("pre", {}, JSON.stringify(one.requestBody, null, 2))) : null);
}

async function read(url) {
  const answer = await fetch(url, { headers: { Accept: "application/json" } });
  if (!answer.ok || !(answer.headers.get("Content-Type") || "").includes("json")) return null;
  return answer.json();
}

const documents = (await Promise.all(["/openapi.json", "/_sandbox/openapi.json"].map((url) => read(url).catch(() => null))));
main.replaceChildren(...documents.flatMap((document, index) => (document ? [el("h2", {}, document.info.title), el("p", {}, document.info.description || ""), el("p", {}, el("a", { href: index ? "/_sandbox/openapi.json" : "/openapi.json" }, "As JSON")),
  ...Object.entries(document.paths).flatMap(([path, methods]) => Object.entries(methods).filter(([method]) => ["get", "post", "put", "patch", "delete"].includes(method)).map(([method, one]) => operation(method, path, one)))]
  : index === 0 ? [el("p", { class: "soft" }, "No document of the API is served here: start the sandbox with --openapi FILE.")] : [])));
