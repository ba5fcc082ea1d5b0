/** Tiers: ordered groups of policies. */
import type { Tier } from "../model.ts";
import { ADMIN_TIER, BASELINE_TIER, DEFAULT_TIER } from "../names.ts";
import { FindingCollector, type Conversion } from "./conversion.ts";
import { isAbsent, metadataOf, show, specOf } from "./raw.ts";

/** Tiers that are always there; their order and default action are fixed. */
export const builtInTiers: readonly Tier[] = [
  { name: ADMIN_TIER, order: 1_000, defaultAction: "Pass" },
  { name: DEFAULT_TIER, order: 1_000_000, defaultAction: "Deny" },
  { name: BASELINE_TIER, order: 10_000_000, defaultAction: "Pass" },
];

/** A tier. An unreadable order counts as none (last), an unreadable default action as Deny. */
export function convertTier(raw: unknown): Conversion<Tier> {
  const out = new FindingCollector();
  const metadata = metadataOf(raw);
  if (metadata === null) return out.done<Tier>(null);
  const { name } = metadata;
  const { order: writtenOrder, defaultAction: writtenAction } = specOf(raw);
  const order = readOrder(writtenOrder, "spec.order", out);
  const defaultAction = readDefaultAction(writtenAction, out);
  const fixed = builtInTiers.find((tier) => tier.name === name);
  if (fixed === undefined) return out.done({ name, order, defaultAction });
  if (!isAbsent(writtenOrder) && order !== fixed.order) out.warning("spec.order", `the order of tier ${name} is always ${fixed.order}`);
  if (!isAbsent(writtenAction) && defaultAction !== fixed.defaultAction) out.warning("spec.defaultAction", `the default action of tier ${name} is always ${fixed.defaultAction}`);
  return out.done(fixed);
}

/** An order, or null for none (last). */
export function readOrder(written: unknown, field: string, out: FindingCollector): number | null {
  if (isAbsent(written)) return null;
  if (typeof written === "number" && Number.isFinite(written)) return written;
  return out.error(field, `${show(written)} is not a number; it is put last`);
}

function readDefaultAction(written: unknown, out: FindingCollector): "Deny" | "Pass" {
  if (written === "Pass") return "Pass";
  if (!isAbsent(written) && written !== "Deny") out.error("spec.defaultAction", `${show(written)} is neither Deny nor Pass; Deny is used`);
  return "Deny";
}
