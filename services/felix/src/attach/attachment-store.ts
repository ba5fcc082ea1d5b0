/** Attachments kept on a tmpfs, so that a restarted felix knows which interface belongs to which pod before anybody tells it. */
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Attachment } from "@calico/calc";
import { canonicalAddress } from "@calico/model";

export interface AttachmentStore {
  list(): Attachment[];
  save(attachment: Attachment): void;
  /** Of another container of the pod, a newer one's, nothing is removed. */
  remove(uid: string, containerId: string): void;
}

const UID = /^[A-Za-z0-9-]{1,64}$/;

/** Throws a RangeError for a uid that cannot be a file's name. */
export function createAttachmentStore(dir: string): AttachmentStore {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const pathOf = (uid: string): string => {
    if (!UID.test(uid)) throw new RangeError(`${JSON.stringify(uid.slice(0, 80))} is no pod uid`);
    return join(dir, `${uid}.json`);
  };
  return {
    list: () => readdirSync(dir).filter((name) => name.endsWith(".json")).flatMap((name) => read(join(dir, name)) ?? []),
    save(attachment) {
      const path = pathOf(attachment.uid);
      writeFileSync(`${path}.new`, JSON.stringify(attachment), { mode: 0o600 });
      renameSync(`${path}.new`, path);
    },
    remove(uid, containerId) {
      const path = pathOf(uid);
      const owner = read(path)?.containerId;
      if (owner === undefined || owner === containerId) rmSync(path, { force: true });
    },
  };
}

function read(path: string): Attachment | null {
  try {
    const raw = JSON.parse(readFileSync(path, "utf8")) as Partial<Record<keyof Attachment, unknown>>;
    const { uid, namespace, pod, containerId, interfaceName, interfaceIndex, addresses } = raw;
    if (![uid, namespace, pod, containerId, interfaceName].every((value) => typeof value === "string") || typeof interfaceIndex !== "number" || !Array.isArray(addresses)) return null;
    const canonical = addresses.map((address) => (typeof address === "string" ? canonicalAddress(address) : null));
    return canonical.includes(null) ? null : ({ ...raw, addresses: canonical } as Attachment);
  } catch {
    return null;
  }
}
