/** Defaults of core kinds that depend on other fields, and what a status is at the start. */
import { isObject, valueAt, type ApiObject, type Json, type ResourceType } from "../object.ts";
import { applyDefaults } from "../schema.ts";

/** Fills in, in place, what the product and kubectl rely on. */
export function defaultCore({ kind, fields }: ResourceType, object: ApiObject): void {
  applyDefaults(object, fields);
  const spec = specOf(fields, object);
  switch (kind) {
    case "Namespace":
      object.metadata.labels = { ...object.metadata.labels, "kubernetes.io/metadata.name": object.metadata.name };
      break;
    case "Pod":
      for (const container of [...listOf(spec["containers"]), ...listOf(spec["initContainers"])]) container["imagePullPolicy"] ??= pullPolicyOf(String(container["image"] as string));
      break;
    case "Service":
      for (const port of listOf(spec["ports"])) port["targetPort"] ??= port["port"];
      break;
    case "Secret":
      if (isObject(object["stringData"])) object["data"] = { ...(isObject(object["data"]) ? object["data"] : {}), ...Object.fromEntries(Object.entries(object["stringData"]).map(([key, value]) => [key, Buffer.from(String(value)).toString("base64")])) };
      delete object["stringData"];
      break;
    case "Node":
      if (typeof spec["podCIDR"] === "string") spec["podCIDRs"] ??= [spec["podCIDR"]];
      break;
    case "NetworkPolicy":
      spec["policyTypes"] ??= ["Ingress", ...(Array.isArray(spec["egress"]) && spec["egress"].length > 0 ? ["Egress"] : [])];
      break;
    default:
  }
}

/** Sets, in place, what the server gives an object and nobody owns; `isNew`: it is being made. */
export function giveCore({ kind, fields }: ResourceType, object: ApiObject, isNew: boolean): void {
  const spec = specOf(fields, object);
  if (kind === "Pod") {
    spec["serviceAccountName"] ??= "default";
    spec["serviceAccount"] = spec["serviceAccountName"];
    if (isObject(object["status"])) giveStatus(object["status"]);
  }
  if (kind === "Service" && spec["clusterIP"] !== undefined) spec["clusterIPs"] ??= [spec["clusterIP"]];
  if (kind === "NetworkPolicy") spec["podSelector"] ??= {};
  if (kind === "Event") for (const field of ["reportingComponent", "reportingInstance"]) object[field] ??= "";
  if (!isNew) return;
  if (kind === "Namespace") spec["finalizers"] = ["kubernetes"];
  const status = FIRST_STATUS[kind];
  if (status !== undefined) object["status"] = { ...status };
}

/** The first address and the list of them say the same. */
function giveStatus(status: Json): void {
  status["qosClass"] ??= "BestEffort";
  const [first] = listOf(status["podIPs"]);
  if (first !== undefined) status["podIP"] ??= first["ip"];
  else if (typeof status["podIP"] === "string" && status["podIP"] !== "") status["podIPs"] = [{ ip: status["podIP"] }];
}

const FIRST_STATUS: Readonly<Record<string, Json>> = { Namespace: { phase: "Active" }, Pod: { phase: "Pending", qosClass: "BestEffort" }, Service: { loadBalancer: {} } };

/** Kinds whose status is the server's at the start, whatever was sent. */
export const hasFirstStatus = ({ kind }: ResourceType): boolean => Object.hasOwn(FIRST_STATUS, kind);

/** Of a kind that has no spec, an empty one that is part of nothing. */
const specOf = (fields: Json, object: ApiObject): Json => (valueAt(fields, ["properties", "spec"]) === undefined ? {} : (object["spec"] ??= {})) as Json;

/** An image without a tag, or with the tag "latest", is looked for every time. */
const pullPolicyOf = (image: string): string => (/[^/]:[^/]+$/.test(image) && !image.endsWith(":latest") ? "IfNotPresent" : "Always");

const listOf = (value: unknown): Json[] => (Array.isArray(value) ? value.filter(isObject) : []);
