import { runService } from "@calico/service-kit";
import { buildCni } from "./daemon.ts";

await runService(() => buildCni(process.env));
