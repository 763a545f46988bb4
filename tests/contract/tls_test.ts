/** The two programs with TLS on every door: who is let in, and certificates that are replaced while they run. */
import assert from "assert";
import { Buffer } from "node:buffer";
import { connect } from "node:tls";
import grpc from "@grpc/grpc-js";
import type { TlsMaterial } from "../../shared/wire/grpc/tls.ts";
import { ADMIN_KEY, Program } from "../system/cluster.ts";
import { testWith } from "../tools/needs.ts";
import { TestAuthority } from "../tools/test_authority.ts";

/** The one name in the certificates of gRPC: the programs are dialled by address, as the pods of Kubernetes are. */
const NAME = "deltadatabase";

/** Files of a door's certificate, and how they are replaced. */
class Door {
  readonly #path: string;

  constructor(directory: string, name: string, material: TlsMaterial) {
    this.#path = `${directory}/${name}`;
    this.write(material);
  }

  /** As an operator would: each file at once, one after the other. */
  write({ certificate, privateKey }: TlsMaterial): void {
    for (const [suffix, text] of [["key", privateKey!], ["pem", certificate!]]) {
      Deno.writeTextFileSync(`${this.#path}.${suffix}.new`, text!);
      Deno.renameSync(`${this.#path}.${suffix}.new`, `${this.#path}.${suffix}`);
    }
  }

  flags(prefix: string): string[] {
    return [`-${prefix}-cert=${this.#path}.pem`, `-${prefix}-key=${this.#path}.key`];
  }
}

/** The subject of the certificate that a server shows; `material`: what the client shows. */
function shown(address: string, material: TlsMaterial): Promise<string> {
  const [host, port] = address.split(":");
  return new Promise((resolve, reject) => {
    const socket = connect({
      host,
      port: Number(port),
      ca: material.authority,
      cert: material.certificate,
      key: material.privateKey,
      checkServerIdentity: () => undefined,
    }, () => {
      resolve(String(socket.getPeerCertificate().subject.CN));
      socket.destroy();
    });
    socket.once("error", reject);
  });
}

/** Whether a client of gRPC is answered; otherwise the status. */
function askHealth(address: string, credentials: grpc.ChannelCredentials): Promise<string> {
  const client = new grpc.Client(address, credentials, { "grpc.ssl_target_name_override": NAME });
  const { promise, resolve } = Promise.withResolvers<string>();
  const identity = (bytes: Buffer) => bytes;
  client.makeUnaryRequest(
    "/grpc.health.v1.Health/Check",
    identity,
    identity,
    Buffer.alloc(0),
    { deadline: Date.now() + 5_000 },
    (error) => resolve(error === null ? "OK" : grpc.status[error.code]!),
  );
  return promise.finally(() => client.close());
}

function credentials({ authority, certificate, privateKey }: TlsMaterial): grpc.ChannelCredentials {
  const [ca, key, cert] = [authority, privateKey, certificate].map((pem) =>
    pem === undefined ? null : Buffer.from(pem)
  );
  return grpc.credentials.createSsl(ca, key, cert);
}

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 600; tries++) {
    if (await holds()) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`not reached: ${what}`);
}

testWith(
  ["openssl"],
  "TLS for clients, mutual TLS between the programs, certificates replaced while they run",
  async (t) => {
    await using authority = await TestAuthority.create("authority");
    await using stranger = await TestAuthority.create("stranger");
    const trust: TlsMaterial = { authority: authority.certificate };
    const directory = Deno.makeTempDirSync({ prefix: "deltadb-test-" });
    const programs: Program[] = [];
    try {
      const rest = new Door(directory, "rest", await authority.issue("IP:127.0.0.1,DNS:localhost"));
      const member = await authority.issue(`DNS:${NAME}`);
      const inner = new Door(directory, "inner", member);
      Deno.writeTextFileSync(`${directory}/ca.pem`, authority.certificate);
      const mutual = [...inner.flags("grpc-tls"), `-grpc-tls-ca=${directory}/ca.pem`];
      const named = [...mutual, `-grpc-tls-server-name=${NAME}`];
      const store = `-shared-fs=${directory}/db`;
      const main = new Program("main-worker", "main_worker/main.ts", [
        ...["-rest-addr=127.0.0.1:0", "-grpc-addr=127.0.0.1:0", "-rest-threads=2", store],
        ...rest.flags("tls"),
        ...named,
      ], { ADMIN_KEY, MASTER_KEY: "ab".repeat(32) });
      programs.push(main);
      const { rest_addr, grpc_addr } = await main.event("started") as { rest_addr: string; grpc_addr: string };
      const worker = (id: string, flags: readonly string[]) => {
        const program = new Program(id, "proc_worker/main.ts", [
          ...[`-worker-id=${id}`, `-main-addr=${grpc_addr}`, "-grpc-addr=127.0.0.1:0", store],
          ...flags,
        ]);
        programs.push(program);
        return program;
      };
      using trusting = Deno.createHttpClient({ caCerts: [authority.certificate] });
      const headers = { authorization: `Bearer ${ADMIN_KEY}` };
      const send = (path: string, init: RequestInit = {}) =>
        fetch(`https://${rest_addr}${path}`, { ...init, headers, client: trusting });
      const ready = () =>
        until("ready", async () => {
          const response = await send("/ready");
          await response.body?.cancel();
          return response.ok;
        });
      const first = worker("worker-1", named);
      await ready();

      await t.step("clients of REST: with trust in the authority, and not in plain text", async () => {
        assert.equal((await send("/entity/s?key=a", { method: "PUT", body: '{"a":1.10}' })).status, 200);
        assert.equal(await (await send("/entity/s?key=a")).text(), '{"a":1.10}');
        await assert.rejects(fetch(`https://${rest_addr}/health`));
        await assert.rejects(fetch(`http://${rest_addr}/health`));
      });

      await t.step("clients of gRPC: only with a certificate of the authority", async () => {
        assert.equal(await askHealth(grpc_addr, credentials(member)), "OK");
        const others = { ...await stranger.issue(`DNS:${NAME}`), ...trust };
        for (const wrong of [credentials(trust), credentials(others), grpc.credentials.createInsecure()]) {
          assert.equal(await askHealth(grpc_addr, wrong), "UNAVAILABLE");
        }
      });

      await t.step("a worker that expects another name of the main worker does not join, and says why", async () => {
        const lost = worker("worker-lost", mutual);
        const event = await lost.event("join_failed");
        assert.match(JSON.stringify(event), /127\.0\.0\.1 is not in the cert|Hostname\/IP/);
        await lost.kill();
      });

      await t.step("new certificates are shown without a restart, and open streams go on", async () => {
        const watch = await send("/watch/s");
        const reader = watch.body!.pipeThrough(new TextDecoderStream()).getReader();
        assert.match((await reader.read()).value!, /watching/);
        const before = [await shown(rest_addr, trust), await shown(grpc_addr, member)];
        rest.write(await authority.issue("IP:127.0.0.1"));
        inner.write(await authority.issue(`DNS:${NAME}`));
        await until(
          "both doors show their new certificates",
          async () => await shown(rest_addr, trust) !== before[0] && await shown(grpc_addr, member) !== before[1],
        );
        assert.equal((await send("/entity/s?key=a", { method: "PUT", body: "2" })).status, 200);
        assert.match((await reader.read()).value!, /"version":2/);
        await reader.cancel();
        // Whoever comes now meets the new certificates on both sides.
        await first.kill();
        worker("worker-2", named);
        await ready();
        assert.equal(await (await send("/entity/s?key=a")).text(), "2");
      });

      await t.step("files that cannot be used are told of, and what works stays", async () => {
        const before = await shown(rest_addr, trust);
        rest.write({ ...await authority.issue("IP:127.0.0.1"), privateKey: member.privateKey });
        await main.event("tls_files_not_usable");
        assert.equal(await shown(rest_addr, trust), before);
        // A curve that the server's library does not speak.
        rest.write(await authority.issue("IP:127.0.0.1", "secp256k1"));
        await main.event("tls_files_not_usable", 2);
        assert.equal(await shown(rest_addr, trust), before);
        assert.equal((await send("/health")).status, 200);
        assert.equal(main.over, false);
      });
    } finally {
      for (const program of programs) await program.kill();
      await Deno.remove(directory, { recursive: true });
    }
  },
);
