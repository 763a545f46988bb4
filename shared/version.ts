/** The version of the product: in `/openapi.json`, the UI, metrics, backups and image tags. */
export const VERSION = "0.1.0";
