import { runService } from "@calico/service-kit";
import { buildFelix } from "./daemon.ts";

await runService(() => buildFelix(process.env));
