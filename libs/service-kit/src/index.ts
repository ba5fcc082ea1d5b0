/** What every service is made of: configuration, logs, metrics, health, tracing, servers, the bus, start and stop. */
export * from "./backoff.ts";
export * from "./clock.ts";
export * from "./grpc.ts";
export * from "./health.ts";
export * from "./http.ts";
export * from "./lifecycle.ts";
export { helpText, parameterLines, serviceMain, type ParameterLine, type ServiceDescription } from "./main.ts";
export * from "./log.ts";
export * from "./metrics.ts";
export * from "./nats.ts";
export * from "./params.ts";
export * from "./tracing.ts";
export { clearSocket } from "./unix-socket.ts";
export * from "./service.ts";
