/** `proto/deltadb.proto`, parsed: the types that codecs encode with, and what reflection tells of them. */
import protobuf from "protobufjs";
import text from "../../../proto/deltadb.proto" with { type: "text" };

/** The parsed definition. Parsing takes some milliseconds, so a program makes one and hands it around. */
export class Definition {
  readonly root: protobuf.Root;

  constructor() {
    this.root = protobuf.parse(text, new protobuf.Root(), { keepCase: false }).root;
    this.root.resolveAll();
  }

  /** A message type by its name in package `deltadb`. */
  type(name: string): protobuf.Type {
    return this.root.lookupType(`deltadb.${name}`);
  }
}
