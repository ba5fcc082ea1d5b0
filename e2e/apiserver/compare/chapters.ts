/** Everything that is replayed. */
import { clients } from "./chapters/clients.ts";
import { discovery } from "./chapters/discovery.ts";
import { objects } from "./chapters/objects.ts";
import { refusals } from "./chapters/refusals.ts";
import { patches } from "./chapters/patches.ts";
import { applies } from "./chapters/applies.ts";
import { lists } from "./chapters/lists.ts";
import { watches } from "./chapters/watches.ts";
import { policies } from "./chapters/policies.ts";
import { removals } from "./chapters/removals.ts";
import { subresources } from "./chapters/subresources.ts";
import type { Chapter } from "./script.ts";

export const CHAPTERS: readonly Chapter[] = [discovery, objects, refusals, patches, applies, lists, watches, removals, policies, subresources, clients];
