/** How the programs use TLS files: opened at start-up with errors that name the file, followed while the program runs. */
import type { GrpcTlsConfig, TlsConfig } from "../config/common.ts";
import type { Logger } from "../logging/logger.ts";
import type { Clock } from "../seams/clock.ts";
import { TlsError } from "../wire/grpc/tls.ts";
import { openTlsFiles, type TlsFiles } from "../wire/grpc/tls_files.ts";
import { StartError } from "./program.ts";

/** Opens and follows the files of a configuration. @throws {StartError} with a line that names what is wrong. */
export async function openTls(
  config: TlsConfig | GrpcTlsConfig,
  { clock, log }: { clock: Clock; log: Logger },
  onReload: () => void = () => {},
): Promise<TlsFiles> {
  const authority = "ca" in config && config.ca !== undefined ? { authority: config.ca } : {};
  try {
    return await openTlsFiles({ certificate: config.cert, privateKey: config.key, ...authority }, {
      clock,
      onReload: () => {
        try {
          onReload();
          log.info("tls_files_read_again", { certificate: config.cert });
        } catch (error) {
          log.error("tls_files_not_usable", { error });
        }
      },
      onFailure: (error) => log.warn("tls_files_not_usable", { error }),
    });
  } catch (error) {
    if (error instanceof TlsError) throw new StartError(error.message.split("\n")[0]);
    throw error;
  }
}
