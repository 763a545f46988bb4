/** The bucket engine passes the suite of all engines, on services that treat conditions differently. */
import { type EmulatorOptions, S3Emulator } from "../../../tests/s3/emulator.ts";
import { testConformance } from "../conformance.ts";
import { openPatientStore } from "./testing.ts";

const SERVICES: Readonly<Record<string, EmulatorOptions>> = {
  "everything is honoured": { spelling: "quoted" },
  "like Ceph's gateway": { spelling: "plain", remove: "ignored" },
  "like MinIO": { remove: "ignored", segmentMax: 255 },
  "no conditions at all": { create: "ignored", replace: "ignored", remove: "ignored" },
};

for (const [service, options] of Object.entries(SERVICES)) {
  const traits = {
    exclusive: false,
    conditional: true,
    blindCreate: options.create !== "ignored",
    longNames: options.segmentMax === undefined,
  };
  testConformance(`bucket, ${service}`, traits, async (partitions) => {
    const emulator = await S3Emulator.start(options);
    return {
      open: () => openPatientStore(emulator.endpoint, { leaseMs: 1_500 }, { create: { partitions } }),
      dispose: () => emulator.close(),
    };
  });
}
