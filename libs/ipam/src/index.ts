/** Address management: pure functions over blocks and generators that ask for reads and writes. */
export * from "./block.ts";
export * from "./pools.ts";
export * from "./effects.ts";
export * from "./affinity.ts";
export * from "./assign.ts";
export * from "./release.ts";
