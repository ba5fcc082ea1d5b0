import { runService } from "@calico/service-kit";
import { buildIpam } from "./daemon.ts";

await runService(() => buildIpam(process.env));
