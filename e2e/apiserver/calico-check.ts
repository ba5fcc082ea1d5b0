/** The rules across fields of the project's kinds: what CEL enforces in a real API server. */
import { API_GROUP, API_VERSION, validateResource } from "@calico/model/resources";
import type { CustomCheck } from "./admission.ts";

export const checkCalico: CustomCheck = (object, before) => {
  if (object.apiVersion !== `${API_GROUP}/${API_VERSION}`) return [];
  const result = validateResource(object, before);
  return result.ok ? [] : result.issues.map(({ path, message, suggestion }) => ({ path, message: suggestion === undefined ? message : `${message}; ${suggestion}` }));
};
