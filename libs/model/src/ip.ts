/**
 * Addresses and CIDRs of both families. At the surface they are canonical strings (RFC 5952 for IPv6);
 * inside they are bytes in network order: 4 of them for IPv4, 16 for IPv6.
 */
export * from "./ip/address.ts";
export * from "./ip/cidr.ts";
export * from "./ip/cover.ts";
