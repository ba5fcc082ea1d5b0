/** What CEL does in a real API server: the rules across fields of the project's kinds, and the chart's admission policies but for rights per tier. */
import { API_GROUP, API_VERSION, tierRefusal, validateResource, withAdmissionDefaults } from "@calico/model/resources";
import type { AdmissionPolicies, CustomCheck } from "./admission.ts";

export const checkCalico: CustomCheck = (object, before) => {
  if (object.apiVersion !== `${API_GROUP}/${API_VERSION}`) return [];
  const result = validateResource(object, before);
  return result.ok ? [] : result.issues.map(({ path, message, suggestion }) => ({ path, message: suggestion === undefined ? message : `${message}; ${suggestion}` }));
};

export const calicoPolicies: AdmissionPolicies = { filledIn: withAdmissionDefaults, refusal: tierRefusal };
