/** TLS for both sides of a connection, from PEM texts that may be replaced while the program runs. */
import { Buffer } from "node:buffer";
// deno-lint-ignore deltadatabase/boundaries -- certificates are looked at here; nothing is encrypted
import { createPrivateKey, X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import { checkServerIdentity } from "node:tls";
import grpc from "@grpc/grpc-js";

/** PEM texts. */
export interface TlsMaterial {
  /** Certificate chain, own certificate first. A server must have one; a client that has none does not identify itself. */
  readonly certificate?: string;
  /** Private key of the certificate. */
  readonly privateKey?: string;
  /** Certificates of the authority that the other side's certificate must come from; absent: the system's, for clients. */
  readonly authority?: string;
}

/** TLS material that is wrong; the message says which part. */
export class TlsError extends Error {
  override name = "TlsError";
}

type Listener = (update: never) => void;

/** Current TLS material. Connections that are opened after {@linkcode TlsSource.replace} use what was replaced. */
export class TlsSource {
  #material: TlsMaterial;
  readonly #listeners = new Set<() => void>();

  /** @throws {TlsError} when the material is not usable. */
  constructor(material: TlsMaterial) {
    check(material);
    this.#material = material;
  }

  /** What new connections use. */
  get material(): TlsMaterial {
    return this.#material;
  }

  /** Replaces the material. Open connections stay as they are. @throws {TlsError} and changes nothing when it is not usable. */
  replace(material: TlsMaterial): void {
    check(material);
    if (!material.certificate !== !this.#material.certificate || !material.authority !== !this.#material.authority) {
      throw new TlsError("a certificate or an authority cannot be added or removed while the program runs");
    }
    this.#material = material;
    for (const listener of this.#listeners) listener();
  }

  /** The source as grpc-js wants it. */
  provider(): grpc.experimental.CertificateProvider {
    const wrappers = new Map<Listener, () => void>();
    const add = (listener: Listener, update: () => unknown) => {
      const wrapper = () => listener(update() as never);
      wrappers.set(listener, wrapper);
      this.#listeners.add(wrapper);
      // grpc-js has not finished to register the listener when it hands it over.
      queueMicrotask(() => wrappers.get(listener) === wrapper && wrapper());
    };
    const remove = (listener: Listener) => {
      this.#listeners.delete(wrappers.get(listener)!);
      wrappers.delete(listener);
    };
    return {
      addCaCertificateListener: (listener) =>
        add(listener, () => ({
          caCertificate: this.#material.authority === undefined ? undefined : Buffer.from(this.#material.authority),
        })),
      removeCaCertificateListener: remove,
      addIdentityCertificateListener: (listener) =>
        add(listener, () => ({
          certificate: Buffer.from(this.#material.certificate ?? ""),
          privateKey: Buffer.from(this.#material.privateKey ?? ""),
        })),
      removeIdentityCertificateListener: remove,
    };
  }
}

function check(material: TlsMaterial): void {
  const { certificate, privateKey, authority } = material;
  if (!certificate !== !privateKey) throw new TlsError("a certificate and its private key are needed together");
  if (!certificate && !authority) throw new TlsError("neither a certificate nor an authority is given");
  // Deno looks at none of this before the first handshake, and files that are being replaced are read half old, half new.
  try {
    if (certificate) {
      const [own] = certificates(certificate);
      if (!own!.checkPrivateKey(createPrivateKey(privateKey!))) throw new Error("the private key is another one's");
      // Which kinds of keys the library of the servers speaks, only a server can tell.
      Deno.listenTls({ hostname: "127.0.0.1", port: 0, cert: certificate, key: privateKey! }).close();
    }
    if (authority) certificates(authority);
  } catch (error) {
    throw new TlsError(`the TLS files cannot be used: ${(error as Error).message}`, { cause: error });
  }
}

/** The certificates of a PEM text, at least one. @throws {Error} when one cannot be read. */
function certificates(pem: string): X509Certificate[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g);
  if (blocks === null) throw new Error("there is no certificate in PEM format");
  return blocks.map((block) => new X509Certificate(block));
}

/** Credentials of a server. With an authority, only callers with a certificate of it are let in. */
export function serverCredentials(tls: TlsSource | undefined): grpc.ServerCredentials {
  if (tls === undefined) return grpc.ServerCredentials.createInsecure();
  if (!tls.material.certificate) throw new TlsError("a server needs a certificate and its private key");
  const provider = tls.provider();
  const mutual = tls.material.authority !== undefined;
  return grpc.experimental.createCertificateProviderServerCredentials(provider, mutual ? provider : null, mutual);
}

/** The name in the handshake where there is none to say: an IP address may not stand there. */
const NAMELESS = "deltadatabase.invalid";

/** What makes a client speak TLS: its credentials, and the options that belong to them. */
export interface ClientTls {
  readonly credentials: grpc.ChannelCredentials;
  readonly options: grpc.ChannelOptions;
}

/** TLS of a client that dials `host` and expects a certificate for `serverName`, or for the host without one. */
export function clientTls(tls: TlsSource | undefined, host: string, serverName: string | undefined): ClientTls {
  if (tls === undefined) return { credentials: grpc.ChannelCredentials.createInsecure(), options: {} };
  const provider = tls.provider();
  const expected = serverName ?? host;
  return {
    credentials: grpc.experimental.createCertificateProviderChannelCredentials(
      provider,
      tls.material.certificate ? provider : null,
      { checkServerIdentity: (_, certificate) => checkServerIdentity(expected, certificate) },
    ),
    options: { "grpc.ssl_target_name_override": isIP(expected) ? NAMELESS : expected },
  };
}
