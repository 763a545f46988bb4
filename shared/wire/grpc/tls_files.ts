/** TLS material from files that are read again when they change: certificates are renewed without a restart. */
import { TLS_POLL_MS } from "../../limits.ts";
import type { Clock, Timer } from "../../seams/clock.ts";
import { TlsError, type TlsMaterial, TlsSource } from "./tls.ts";

/** Paths of PEM files, as the flags `-grpc-tls-cert`, `-grpc-tls-key` and `-grpc-tls-ca` give them. */
export interface TlsPaths {
  readonly certificate?: string;
  readonly privateKey?: string;
  readonly authority?: string;
}

/** What watching needs. */
export interface TlsFilesParts {
  readonly clock: Clock;
  /** Called after the files have changed and are in use. */
  readonly onReload: () => void;
  /** Called, once per reason, when the files have changed and cannot be used: what was read before stays in use. */
  readonly onFailure: (error: TlsError) => void;
  /** Reads a file. Default: `Deno.readTextFile`. */
  readonly read?: (path: string) => Promise<string>;
}

/** A source that follows its files until it is closed. */
export interface TlsFiles {
  readonly source: TlsSource;
  close(): void;
}

/** Reads the files and watches them. @throws {TlsError} when they cannot be read or used. */
export async function openTlsFiles(paths: TlsPaths, parts: TlsFilesParts): Promise<TlsFiles> {
  const { clock, onReload, onFailure, read = Deno.readTextFile } = parts;
  const source = new TlsSource(await readAll(paths, read));
  let timer: Timer;
  let closed = false;
  let lastFailure = "";
  const check = async () => {
    try {
      const material = await readAll(paths, read);
      if (!closed && !same(material, source.material)) {
        source.replace(material);
        onReload();
      }
      lastFailure = "";
    } catch (error) {
      if (!(error instanceof TlsError)) throw error;
      if (error.message !== lastFailure) onFailure(error);
      lastFailure = error.message;
    }
    if (!closed) timer = clock.setTimer(check, TLS_POLL_MS);
  };
  timer = clock.setTimer(check, TLS_POLL_MS);
  return {
    source,
    close: () => {
      closed = true;
      clock.clearTimer(timer);
    },
  };
}

async function readAll(paths: TlsPaths, read: (path: string) => Promise<string>): Promise<TlsMaterial> {
  const [certificate, privateKey, authority] = await Promise.all(
    [paths.certificate, paths.privateKey, paths.authority].map(async (path) => {
      if (path === undefined) return undefined;
      try {
        return await read(path);
      } catch (error) {
        throw new TlsError(`${path} cannot be read: ${(error as Error).message}`, { cause: error });
      }
    }),
  );
  return { certificate, privateKey, authority };
}

function same(a: TlsMaterial, b: TlsMaterial): boolean {
  return a.certificate === b.certificate && a.privateKey === b.privateKey && a.authority === b.authority;
}
