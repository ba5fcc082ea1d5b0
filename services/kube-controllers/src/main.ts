import { runService } from "@calico/service-kit";
import { buildKubeControllers } from "./daemon.ts";

await runService(() => buildKubeControllers(process.env));
