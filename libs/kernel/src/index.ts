/** The Linux kernel's network, in process: netlink, nftables, namespaces, connection tracking. */
export * from "./sys/constants.ts";
export { openSys, SysError, type Sys } from "./sys/sys.ts";
export { watchReadable } from "./sys/readable.ts";
export { KernelError, NetlinkConnection, type NetlinkEvent, type NetlinkRequest } from "./netlink/connection.ts";
export { createNetns, deleteNetns, isSameNetns, netnsPath, NETNS_DIR, readSysctl, warmThreadPool, withNetns, writeSysctl } from "./netns/netns.ts";
export * from "./rtnetlink/types.ts";
export { openRtnetlink, type Batch, type BatchResult, type RouteFilter, type Rtnetlink, type RtnetlinkHandlers } from "./rtnetlink/rtnetlink.ts";
export { readTxChecksum, writeTxChecksum } from "./ethtool/ethtool.ts";
export { openConntrack, type Conntrack } from "./conntrack/conntrack.ts";
export * from "./nftables/index.ts";
