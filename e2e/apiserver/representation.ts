/** In which form a client wants objects: whole, only their metadata, or rows of a table. */
import { isObject, type ApiObject, type Json, type ResourceType } from "./object.ts";
import { ApiError } from "./status.ts";
import { toTable, type Include } from "./table.ts";

export interface Representation {
  /** An object, or a list of them. */
  body(type: ResourceType, body: unknown): unknown;
  /** For one watch: turns lines of events, one after the other. */
  events(): (type: ResourceType, line: Buffer) => Buffer;
}

const SPOKEN = ["application/json", "application/yaml", "*/*", "application/*"];

/** By the Accept header; of several forms the first. Throws an ApiError 406 when none of them is spoken. */
export function representationOf(accept: string, query: URLSearchParams): Representation {
  const forms = accept.split(",").map((form) => form.replaceAll(" ", "").split(";"));
  const form = forms.find(([mediaType = ""]) => mediaType === "" || SPOKEN.includes(mediaType));
  if (form === undefined) throw new ApiError(406, "only the following media types are accepted: application/json");
  const as = form.find((parameter) => parameter.startsWith("as="))?.slice(3);
  if (as === "Table") return tables(includeOf(query));
  return as?.startsWith("PartialObjectMetadata") === true ? metadataOnly : whole;
}

function includeOf(query: URLSearchParams): Include {
  const include = query.get("includeObject") ?? "";
  return include === "Object" || include === "None" ? include : "Metadata";
}

const whole: Representation = { body: (_, body) => body, events: () => (_, line) => line };

const partial = ({ metadata }: ApiObject | Json): Json => ({ kind: "PartialObjectMetadata", apiVersion: "meta.k8s.io/v1", metadata });

const metadataOnly: Representation = {
  body(_, body) {
    if (!isObject(body) || body["kind"] === "Status") return body;
    return Array.isArray(body["items"]) ? { kind: "PartialObjectMetadataList", apiVersion: "meta.k8s.io/v1", metadata: body["metadata"], items: (body["items"] as ApiObject[]).map(partial) } : partial(body);
  },
  events: () => (_, line) => eachEvent(line, (object) => partial(object)),
};

function tables(include: Include): Representation {
  return {
    body(type, body) {
      if (!isObject(body) || body["kind"] === "Status") return body;
      const items = (Array.isArray(body["items"]) ? body["items"] : [body]) as ApiObject[];
      const metadata = Array.isArray(body["items"]) ? (body["metadata"] as Json) : { resourceVersion: (body as ApiObject).metadata.resourceVersion };
      return toTable(type, items, metadata, { now: Date.now(), include });
    },
    // The columns are told once.
    events() {
      let isFirst = true;
      return (type, line) => eachEvent(line, (object) => {
        const { columnDefinitions, ...table } = toTable(type, [object as ApiObject], { resourceVersion: (object as ApiObject).metadata.resourceVersion }, { now: Date.now(), include });
        const shown = isFirst ? { ...table, columnDefinitions } : table;
        isFirst = false;
        return shown;
      });
    },
  };
}

/** Errors and bookmarks stay what they are. */
function eachEvent(line: Buffer, turn: (object: Json) => Json): Buffer {
  const event = JSON.parse(line.toString()) as { type: string; object: Json };
  return event.type === "ERROR" || event.type === "BOOKMARK" ? line : Buffer.from(`${JSON.stringify({ type: event.type, object: turn(event.object) })}\n`);
}
