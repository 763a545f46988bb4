/**
 * The connections that grpc-js makes for one client. grpc-js keeps their sockets to itself and gives an attempt to connect
 * no end (grpc/grpc-node issue 2785); both are found where it asks the credentials to secure a connection.
 */
import type { Socket } from "node:net";
import type grpc from "@grpc/grpc-js";

/** The part of credentials that takes part in every attempt to connect to one of the host's addresses. */
interface SecureConnector {
  /** The first thing of each attempt. */
  waitForReady(): Promise<void>;
  /** What comes once TCP has connected. */
  connect(socket: Socket): Promise<unknown>;
}

interface Securing {
  _createSecureConnector(...options: unknown[]): SecureConnector;
}

/** What is done with the connections of the client that has these credentials, which no other client may have. */
export class Connections {
  readonly #attemptMs: () => number;
  readonly #onOverdue: () => void;
  readonly #sockets = new Set<Socket>();
  /** Of the last attempt to each address. */
  readonly #timers = new Map<SecureConnector, ReturnType<typeof setTimeout>>();
  #destroyed = false;

  /** `onOverdue` is called `attemptMs()` after an attempt began that no later one to the same address has followed. */
  constructor(credentials: grpc.ChannelCredentials, attemptMs: () => number, onOverdue: () => void) {
    this.#attemptMs = attemptMs;
    this.#onOverdue = onOverdue;
    const securing = credentials as unknown as Securing;
    const create = securing._createSecureConnector.bind(credentials);
    securing._createSecureConnector = (...options) => this.#watch(create(...options));
  }

  #watch(connector: SecureConnector): SecureConnector {
    const waitForReady = connector.waitForReady.bind(connector);
    const connect = connector.connect.bind(connector);
    connector.waitForReady = () => {
      if (this.#destroyed) return Promise.reject(new Error("the client was given up"));
      clearTimeout(this.#timers.get(connector));
      this.#timers.set(connector, setTimeout(() => this.#overdue(connector), this.#attemptMs()));
      return waitForReady();
    };
    connector.connect = (socket) => {
      if (this.#destroyed) {
        socket.destroy();
        return Promise.reject(new Error("the client was given up"));
      }
      this.#sockets.add(socket);
      socket.once("close", () => this.#sockets.delete(socket));
      return connect(socket);
    };
    return connector;
  }

  #overdue(connector: SecureConnector): void {
    this.#timers.delete(connector);
    this.#onOverdue();
  }

  /** Cuts every connection, and each that an attempt under way still makes. */
  destroy(): void {
    this.#destroyed = true;
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
    for (const socket of this.#sockets) socket.destroy();
  }
}
