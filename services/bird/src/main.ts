import { runService } from "@calico/service-kit";
import { buildBird } from "./daemon.ts";

await runService(() => buildBird(process.env));
