export type * from "./messages.ts";
export * from "./ports.ts";
export { createClusterHalf, type ClusterStats } from "./cluster-half.ts";
export { createNodeHalf } from "./node-half.ts";
export { createEvaluator, type Evaluator, type Decider, type Packet, type Verdict, type World } from "./evaluator.ts";
export type { NearestMiss } from "./nearest-miss.ts";
