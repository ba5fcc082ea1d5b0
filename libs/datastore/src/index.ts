/** Typed access to where desired state is kept: requests, informers and leader election. */
export * from "./object.ts";
export * from "./resource-types.ts";
export * from "./errors.ts";
export * from "./datastore.ts";
export { openKubernetesDatastore, type KubernetesDatastore, type KubernetesDatastoreOptions } from "./kubernetes-datastore.ts";
export { ConnectionError, type Connection, type Credentials, type TlsOptions } from "./connection.ts";
export { resolveConnection, type ConnectOptions } from "./connect-options.ts";
export { systemClock, type Clock, type Random } from "./clock.ts";
export { silentLog, type Log } from "./log.ts";
export { createInformer, type Informer, type InformerHandler, type InformerOptions } from "./informer.ts";
export { runLeaderElection, type LeaderElection, type LeaderElectionOptions } from "./leader-election.ts";
export { createAllocationStore, type AllocationStore } from "./allocation-store.ts";
export { createEventRecorder, type EventRecorder, type EventRecorderOptions } from "./event-recorder.ts";
export type { Happening, Regarding } from "./event-series.ts";
export { createServiceAddresses, type ServiceAddressesOptions } from "./service-addresses.ts";
