/** `proto/deltadb.proto`, parsed: the types that codecs encode with, and what reflection tells of them. */
import protobuf from "protobufjs";
import text from "../../../proto/deltadb.proto" with { type: "text" };

/** The parsed definition. Parsing takes some milliseconds, so a program makes one and hands it around. */
export class Definition {
  readonly root: protobuf.Root;

  constructor() {
    this.root = parse(false);
  }

  /** A message type by its name in package `deltadb`; its fields are in camel case. */
  type(name: string): protobuf.Type {
    return this.root.lookupType(`deltadb.${name}`);
  }

  /** The definition with the field names of the file, for those who publish it. */
  published(): protobuf.Root {
    return parse(true);
  }
}

function parse(keepCase: boolean): protobuf.Root {
  const { root } = protobuf.parse(text, new protobuf.Root(), { keepCase });
  root.resolveAll();
  return root;
}
