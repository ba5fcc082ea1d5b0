import { runService } from "@calico/service-kit";
import { buildTypha } from "./daemon.ts";

await runService(() => buildTypha(process.env));
