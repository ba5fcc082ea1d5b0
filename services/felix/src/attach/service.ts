/** The gRPC face: the CNI daemon hands interfaces over and takes them back. */
import { status } from "@grpc/grpc-js";
import type { Attachment } from "@calico/calc";
import { canonicalAddress, workloadEndpointId, type IpAddress } from "@calico/model";
import type { felix } from "@calico/proto";
import { grpcError, unaryHandler, type Logger } from "@calico/service-kit";
import type { Engine } from "../engine.ts";
import type { AttachmentStore } from "./attachment-store.ts";

export type AttachOptions = {
  readonly engine: Engine;
  readonly store: AttachmentStore;
  readonly timeoutMs: number;
  readonly status: (request: felix.StatusRequest) => felix.StatusResponse;
  readonly log: Logger;
};

export function createFelixService({ engine, store, timeoutMs, status: report, log }: AttachOptions): felix.FelixServiceServer {
  async function attach(request: felix.AttachEndpointRequest): Promise<felix.AttachEndpointResponse> {
    const attachment = parseAttachment(request);
    try {
      await engine.attach(attachment, workloadEndpointId(request.namespace, request.pod, request.podUid), timeoutMs);
    } catch (error) {
      throw grpcError(status.DEADLINE_EXCEEDED, `pod ${request.namespace}/${request.pod} is not in the kernel after ${timeoutMs / 1000} s: ${(error as Error).message}`);
    }
    store.save(attachment);
    return { sequence: engine.step?.sequence ?? 0n };
  }

  async function detach(request: felix.DetachEndpointRequest): Promise<felix.DetachEndpointResponse> {
    if (request.podUid === "") throw grpcError(status.INVALID_ARGUMENT, "pod_uid is empty");
    store.remove(request.podUid, request.containerId);
    await engine.detach(request.podUid, request.containerId, 2_000);
    return {};
  }

  return { attachEndpoint: unaryHandler(attach, log), detachEndpoint: unaryHandler(detach, log), status: unaryHandler(report, log) };
}

function parseAttachment(request: felix.AttachEndpointRequest): Attachment {
  const { namespace, pod, podUid: uid, containerId, interfaceName, interfaceIndex } = request;
  const missing = Object.entries({ namespace, pod, uid, containerId, interfaceName }).find(([, value]) => value === "")?.[0];
  if (missing !== undefined) throw grpcError(status.INVALID_ARGUMENT, `${missing} is empty`);
  if (interfaceName.length > 15) throw grpcError(status.INVALID_ARGUMENT, `interface name ${interfaceName} is longer than 15 characters`);
  const addresses = request.addresses.map((text): IpAddress => {
    const address = canonicalAddress(text);
    if (address === null) throw grpcError(status.INVALID_ARGUMENT, `${JSON.stringify(text)} is no address`);
    return address;
  });
  return { namespace, pod, uid, containerId, interfaceName, interfaceIndex, addresses };
}
