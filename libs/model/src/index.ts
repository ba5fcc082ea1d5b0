/** The parsed model of a cluster and everything that turns raw objects into it. Schemas and definitions are in "@calico/model/resources": few programs need them. */
export * from "./labels.ts";
export * from "./model.ts";
export * from "./ip.ts";
export * from "./selector/selector.ts";
export * from "./names.ts";
export * from "./convert/index.ts";
export { unmetConditions } from "./selector/unmet.ts";
