/** Clients of the services that answer on a unix socket of their node. Every call has a deadline. */
import { credentials, Metadata, type CallOptions, type ServiceError } from "@grpc/grpc-js";
import { deadlineIn, grpcClientOptions, tracingClientInterceptor } from "@calico/service-kit";
import { BirdServiceClient, type StatusResponse as BirdStatus } from "./gen/calico/bird/v1/bird.ts";
import {
  FelixServiceClient, type AttachEndpointRequest, type AttachEndpointResponse, type DetachEndpointRequest, type DetachEndpointResponse, type StatusRequest as FelixStatusRequest,
  type StatusResponse as FelixStatus,
} from "./gen/calico/felix/v1/felix.ts";
import {
  IpamServiceClient, type AssignAddressRequest, type AssignAddressResponse, type AutoAssignRequest, type AutoAssignResponse, type ReleaseByHandleRequest, type ReleaseByHandleResponse,
  type StatusResponse as IpamStatus,
} from "./gen/calico/ipam/v1/ipam.ts";

/** Rejects with grpc-js' ServiceError. */
type Call<Request, Response> = (request: Request, timeoutMs: number) => Promise<Response>;

export interface FelixClient extends Disposable {
  readonly attachEndpoint: Call<AttachEndpointRequest, AttachEndpointResponse>;
  readonly detachEndpoint: Call<DetachEndpointRequest, DetachEndpointResponse>;
  readonly status: (timeoutMs: number) => Promise<FelixStatus>;
}

export interface IpamClient extends Disposable {
  readonly autoAssign: Call<AutoAssignRequest, AutoAssignResponse>;
  readonly assignAddress: Call<AssignAddressRequest, AssignAddressResponse>;
  readonly releaseByHandle: Call<ReleaseByHandleRequest, ReleaseByHandleResponse>;
  readonly status: (timeoutMs: number) => Promise<IpamStatus>;
}

export interface BirdClient extends Disposable {
  readonly status: (timeoutMs: number) => Promise<BirdStatus>;
}

const OPTIONS = { ...grpcClientOptions, "grpc.max_reconnect_backoff_ms": 1_000, interceptors: [tracingClientInterceptor] };

export function createFelixClient(socketPath: string): FelixClient {
  const client = new FelixServiceClient(`unix:${socketPath}`, credentials.createInsecure(), OPTIONS);
  const status = unary<FelixStatusRequest, FelixStatus>((...call) => client.status(...call));
  return {
    attachEndpoint: unary((...call) => client.attachEndpoint(...call)),
    detachEndpoint: unary((...call) => client.detachEndpoint(...call)),
    status: (timeoutMs) => status({ brief: true, countersOf: [] }, timeoutMs),
    [Symbol.dispose]: () => client.close(),
  };
}

export function createIpamClient(socketPath: string): IpamClient {
  const client = new IpamServiceClient(`unix:${socketPath}`, credentials.createInsecure(), OPTIONS);
  const status = unary<object, IpamStatus>((...call) => client.status(...call));
  return {
    autoAssign: unary((...call) => client.autoAssign(...call)),
    assignAddress: unary((...call) => client.assignAddress(...call)),
    releaseByHandle: unary((...call) => client.releaseByHandle(...call)),
    status: (timeoutMs) => status({}, timeoutMs),
    [Symbol.dispose]: () => client.close(),
  };
}

export function createBirdClient(socketPath: string): BirdClient {
  const client = new BirdServiceClient(`unix:${socketPath}`, credentials.createInsecure(), OPTIONS);
  const status = unary<object, BirdStatus>((...call) => client.status(...call));
  return { status: (timeoutMs) => status({}, timeoutMs), [Symbol.dispose]: () => client.close() };
}

type Method<Request, Response> = (request: Request, metadata: Metadata, options: Partial<CallOptions>, callback: (error: ServiceError | null, response: Response) => void) => unknown;

function unary<Request, Response>(method: Method<Request, Response>): Call<Request, Response> {
  return (request, timeoutMs) => new Promise((resolve, reject) => {
    method(request, new Metadata(), { deadline: deadlineIn(timeoutMs) }, (error, response) => (error === null ? resolve(response) : reject(error)));
  });
}
