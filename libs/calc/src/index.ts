export type * from "./messages.ts";
export * from "./ports.ts";
