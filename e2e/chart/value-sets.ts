/** Ways in which people install the chart: their renderings are golden files, and every object goes before a real API server. */
import type { Values } from "./helm.ts";

export const valueSets: Readonly<Record<string, Values>> = {
  defaults: {},
};
