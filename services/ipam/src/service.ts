/** The gRPC face of the allocator. */
import { status } from "@grpc/grpc-js";
import { isDatastoreError } from "@calico/datastore";
import { freeCount, type AssignRequest, type BlockAttribute } from "@calico/ipam";
import { canonicalAddress, contains } from "@calico/model";
import { ipam } from "@calico/proto";
import { grpcError, unaryHandler, type Logger } from "@calico/service-kit";
import type { Allocator } from "./allocator.ts";
import type { ClusterView } from "./cluster-view.ts";
import type { ExhaustionReport } from "./exhaustion.ts";

type Dependencies = {
  readonly allocator: Allocator;
  readonly view: ClusterView;
  readonly log: Logger;
  readonly now: () => string;
  /** Called with the seconds that an assignment took. */
  readonly onAssigned: (seconds: number, ok: boolean) => void;
  readonly reportExhaustion: ExhaustionReport;
};

/** Handlers of IpamService. Refusals are FAILED_PRECONDITION (not ready), RESOURCE_EXHAUSTED, INVALID_ARGUMENT, UNAVAILABLE. */
export function createIpamService({ allocator, view, log, now, onAssigned, reportExhaustion }: Dependencies): ipam.IpamServiceServer {
  function mustBeReady(): void {
    if (view.missing !== null) throw grpcError(status.FAILED_PRECONDITION, `addresses cannot be given yet: ${view.missing}`);
  }

  async function autoAssign(request: ipam.AutoAssignRequest): Promise<ipam.AutoAssignResponse> {
    mustBeReady();
    if (request.handleId === "") throw grpcError(status.INVALID_ARGUMENT, "handle_id is empty");
    const attribute = attributeOf(request.handleId, request.owner, now());
    const of = (family: 4 | 6, count: number, requestedPools: readonly string[]): AssignRequest[] =>
      count === 0 ? [] : [{ family, count, attribute, requestedPools, namespaceLabels: request.namespaceLabels }];
    const requests = [...of(4, request.ipv4Count, request.ipv4Pools), ...of(6, request.ipv6Count, request.ipv6Pools)];
    const results = await allocator.autoAssign(requests);
    for (const [i, asked] of requests.entries()) reportExhaustion(request.owner, asked, results[i] ?? { addresses: [], because: [] });
    const addressesOf = (family: 4 | 6): string[] => results.filter((_, i) => requests[i]?.family === family).flatMap(({ addresses }) => addresses);
    return { ipv4: addressesOf(4), ipv6: addressesOf(6), because: results.flatMap(({ because }) => because) };
  }

  async function assignAddress(request: ipam.AssignAddressRequest): Promise<ipam.AssignAddressResponse> {
    mustBeReady();
    const address = canonicalAddress(request.address);
    if (address === null) throw grpcError(status.INVALID_ARGUMENT, `${JSON.stringify(request.address)} is no address`);
    const result = await allocator.assignAddress(address, attributeOf(request.handleId, request.owner, now()));
    if ("because" in result) throw grpcError(status.RESOURCE_EXHAUSTED, result.because);
    return result;
  }

  async function timed(request: ipam.AutoAssignRequest): Promise<ipam.AutoAssignResponse> {
    const started = performance.now();
    let complete = false;
    try {
      const response = await autoAssign(request);
      complete = response.because.length === 0;
      return response;
    } finally {
      onAssigned((performance.now() - started) / 1000, complete);
    }
  }

  const codeOf = (error: unknown): status => (isDatastoreError(error) ? status.UNAVAILABLE : status.INTERNAL);
  return {
    autoAssign: unaryHandler(timed, log, codeOf),
    assignAddress: unaryHandler(assignAddress, log, codeOf),
    releaseByHandle: unaryHandler(async ({ handleId }) => ({ released: [...(await allocator.releaseByHandle(handleId))] }), log, codeOf),
    status: unaryHandler(() => statusOf({ view, allocator }), log, codeOf),
  };
}

/** Whether addresses can be given, and how full this node's share of each pool is. */
export function statusOf({ view, allocator }: Pick<Dependencies, "view" | "allocator">): ipam.StatusResponse {
  const pools = view.pools.map((pool): ipam.PoolUse => {
    const inside = allocator.blocks.filter((block) => contains(pool.cidr, block.cidr));
    const total = inside.reduce((sum, block) => sum + block.allocations.length, 0);
    const free = inside.reduce((sum, block) => sum + freeCount(block), 0);
    return { name: pool.name, cidr: pool.cidr, total: BigInt(total), inUse: BigInt(total - free) };
  });
  return { ready: view.missing === null, detail: view.missing ?? "", pools };
}

function attributeOf(handleId: string, owner: ipam.Owner | undefined, timestamp: string): BlockAttribute {
  const secondary: Record<string, string> = { timestamp };
  if (owner !== undefined) {
    for (const [key, value] of [["node", owner.node], ["namespace", owner.namespace], ["pod", owner.pod], ["podUID", owner.podUid]] as const) if (value !== "") secondary[key] = value;
  }
  return { handle_id: handleId, secondary };
}
