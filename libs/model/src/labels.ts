/** Labels, and those that have a meaning of their own. */

/** Labels of an endpoint or a network set. */
export type Labels = Readonly<Record<string, string>>;

export const NAMESPACE_LABEL = "projectcalico.org/namespace";
export const ORCHESTRATOR_LABEL = "projectcalico.org/orchestrator";
export const SERVICE_ACCOUNT_LABEL = "projectcalico.org/serviceaccount";
/** In front of a label that an endpoint inherits from its namespace. */
export const NAMESPACE_LABEL_PREFIX = "pcns.";
/** In front of a label that an endpoint inherits from its service account. */
export const SERVICE_ACCOUNT_LABEL_PREFIX = "pcsa.";
/** Label with the name of an object, for those that are selected by name. */
export const NAME_LABEL = "projectcalico.org/name";
