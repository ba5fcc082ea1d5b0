export type * from "./messages.ts";
export * from "./ports.ts";
export { createClusterHalf, type ClusterStats } from "./cluster-half.ts";
export { createNodeHalf } from "./node-half.ts";
export { createEvaluator, hostEndpointOf, type Evaluator, type Decider, type EndpointToHostAction, type HostPath, type HostStep, type Packet, type Verdict, type World } from "./evaluator.ts";
export { defaultFailsafes, type FailsafePort, type Failsafes } from "./failsafes.ts";
export type { NearestMiss } from "./nearest-miss.ts";
