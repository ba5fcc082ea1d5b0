/** The process. */
import { serviceMain } from "@calico/service-kit";
import { description } from "./config.ts";
import { buildKubeControllers } from "./daemon.ts";

await serviceMain(description, () => buildKubeControllers(process.env));
