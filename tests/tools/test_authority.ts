/** Certificates for tests, made by openssl. */
import type { TlsMaterial } from "../../shared/wire/grpc/tls.ts";

/** Makes certificates of one authority. Its files are gone when it is disposed of. */
export class TestAuthority implements AsyncDisposable {
  readonly #directory: string;
  readonly #name: string;
  #serial = 0;

  private constructor(directory: string, name: string) {
    this.#directory = directory;
    this.#name = name;
  }

  /** A new authority. */
  static async create(name: string): Promise<TestAuthority> {
    const authority = new TestAuthority(await Deno.makeTempDir({ prefix: "deltadb-tls-" }), name);
    await authority.#openssl(
      ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"],
      ...["-subj", `/CN=${name}`, "-keyout", "ca.key", "-out", "ca.pem"],
      ...["-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign"],
    );
    return authority;
  }

  /** The authority's certificate. */
  get certificate(): string {
    return Deno.readTextFileSync(`${this.#directory}/ca.pem`);
  }

  /** A certificate for names like `DNS:localhost,IP:127.0.0.1`, with the authority that issued it. */
  async issue(names: string, curve = "prime256v1"): Promise<Required<TlsMaterial>> {
    const at = `${this.#serial++}`;
    await Deno.writeTextFile(`${this.#directory}/${at}.ext`, `subjectAltName=${names}\n`);
    await this.#openssl(
      ...[
        "req",
        "-newkey",
        "ec",
        "-pkeyopt",
        `ec_paramgen_curve:${curve}`,
        "-nodes",
        "-subj",
        `/CN=${this.#name}-${at}`,
      ],
      ...["-keyout", `${at}.key`, "-out", `${at}.csr`],
    );
    await this.#openssl(
      ...["x509", "-req", "-in", `${at}.csr`, "-CA", "ca.pem", "-CAkey", "ca.key", "-set_serial", `${Date.now()}${at}`],
      ...["-days", "2", "-extfile", `${at}.ext`, "-out", `${at}.pem`],
    );
    return {
      certificate: await Deno.readTextFile(`${this.#directory}/${at}.pem`),
      privateKey: await Deno.readTextFile(`${this.#directory}/${at}.key`),
      authority: this.certificate,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.#directory, { recursive: true });
  }

  async #openssl(...args: string[]): Promise<void> {
    const { success, stderr } = await new Deno.Command("openssl", { args, cwd: this.#directory, stdin: "null" })
      .output();
    if (!success) throw new Error(`openssl ${args[0]}: ${new TextDecoder().decode(stderr)}`);
  }
}
