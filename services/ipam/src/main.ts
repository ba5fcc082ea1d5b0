/** The process. */
import { serviceMain } from "@calico/service-kit";
import { description } from "./config.ts";
import { buildIpam } from "./daemon.ts";

await serviceMain(description, () => buildIpam(process.env));
