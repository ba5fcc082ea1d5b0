/** What components answer to a query and where to ask, for a program that speaks no gRPC. */
export * as bird from "./gen/calico/bird/v1/bird.ts";
export * as cni from "./gen/calico/cni/v1/cni.ts";
export * as felix from "./gen/calico/felix/v1/felix.ts";
export * as ipam from "./gen/calico/ipam/v1/ipam.ts";
export { querySubject } from "./subjects.ts";
