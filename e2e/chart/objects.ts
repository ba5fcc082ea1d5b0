/** The chart's objects as requests to an API server. */
import type { ResourceType } from "@calico/datastore";
import type { Manifest } from "./helm.ts";

/** Where an object of the chart belongs in the API. */
export function typeOf({ apiVersion, kind, metadata }: Manifest): ResourceType {
  const [group = "", version = ""] = apiVersion.includes("/") ? apiVersion.split("/") : ["", apiVersion];
  const name = kind.toLowerCase();
  const plural = name.endsWith("y") ? `${name.slice(0, -1)}ies` : `${name}${name.endsWith("s") ? "es" : "s"}`;
  return { group, version, kind, plural, namespaced: metadata.namespace !== undefined };
}
