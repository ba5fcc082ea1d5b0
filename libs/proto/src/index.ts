export * as sync from "./gen/calico/sync/v1/sync.ts";
export * as ipam from "./gen/calico/ipam/v1/ipam.ts";
export * as felix from "./gen/calico/felix/v1/felix.ts";
export * as bird from "./gen/calico/bird/v1/bird.ts";
export * as events from "./gen/calico/events/v1/events.ts";
export * from "./sync-codec.ts";
export * from "./sync-client.ts";
export * from "./subjects.ts";
export * from "./unix-clients.ts";
