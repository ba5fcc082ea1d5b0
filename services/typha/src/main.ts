/** The process. */
import { serviceMain } from "@calico/service-kit";
import { description } from "./config.ts";
import { buildTypha } from "./daemon.ts";

await serviceMain(description, () => buildTypha(process.env));
