/** What kernels get wrong. Pure. */

/** First release whose checksum offload survives masquerading in front of a tunnel. */
const CHECKSUMS_RIGHT_SINCE = [5, 8] as const;

/**
 * True when checksums of what goes into a VXLAN tunnel must not be left to the device. `override` is Calico's
 * "ChecksumOffloadBroken=true,...", which wins over what the kernel's release says.
 */
export function isChecksumOffloadBroken(release: string, override: string): boolean {
  const said = override.split(",").map((item) => item.trim().split("=")).findLast(([name]) => name === "ChecksumOffloadBroken")?.[1];
  if (said === "true" || said === "false") return said === "true";
  const [, major, minor] = /^(\d+)\.(\d+)/.exec(release) ?? [];
  if (major === undefined || minor === undefined) return false;
  return Number(major) < CHECKSUMS_RIGHT_SINCE[0] || (Number(major) === CHECKSUMS_RIGHT_SINCE[0] && Number(minor) < CHECKSUMS_RIGHT_SINCE[1]);
}
