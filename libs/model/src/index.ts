/** The parsed model of a cluster and everything that turns raw objects into it. */
export * from "./model.ts";
export * from "./ip.ts";
export * from "./selector/selector.ts";
export * from "./names.ts";
export * from "./resources/index.ts";
export * from "./convert/index.ts";
