/** Configuration of a service: one table of parameters, several sources. */
export * from "./params/types.ts";
export * from "./params/builders.ts";
export * from "./params/resolve.ts";
