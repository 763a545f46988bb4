/** The Kubernetes files: valid, restricted, scaling as the guide says, and enough without one another's extras. */
import assert from "assert";
import { missingPrograms } from "../tools/needs.ts";
import { attempt, ROOT, run } from "./command.ts";
import { filesOf, type Manifest, readManifest, readManifests } from "./manifests.ts";

const PLAIN = ["shared-pvc.yaml", "main-worker.yaml", "proc-worker.yaml", "proc-worker-hpa.yaml"];
const S3 = ["s3/s3-config.yaml", "s3/main-worker.yaml", "s3/proc-worker.yaml", "s3/proc-worker-hpa.yaml"];
const PROGRAMS = ["main-worker", "proc-worker"] as const;
const VALIDATOR = "kubernetes-validate==1.37.0";
/** The oldest version of Kubernetes that the guide promises, and the newest that the validator knows. */
const VERSIONS = ["1.26", "1.37"];

/** Every manifest of Kubernetes' own kinds. */
function ownFiles(): string[] {
  const others = ["kustomization.yaml", "monitoring.yaml"];
  return ["", "s3/"].flatMap((folder) =>
    filesOf(`kubernetes/${folder}`, ".yaml").filter((name) => !others.includes(name)).map((name) => folder + name)
  );
}

Deno.test("kubernetes: valid by the schemas of the oldest and the newest version", async (t) => {
  const folder = await Deno.makeTempDir({ prefix: "deltadb-kubernetes-" });
  try {
    let missing = missingPrograms("python3");
    if (missing === undefined) {
      const made = await attempt("python3", ["-m", "venv", `${folder}/venv`]);
      const pip = await attempt(`${folder}/venv/bin/pip`, ["install", "--quiet", VALIDATOR]).catch(() => undefined);
      if (made.code !== 0 || pip?.code !== 0) missing = `${VALIDATOR} cannot be installed (Debian: python3-venv)`;
    }
    if (missing !== undefined) console.error(`left out: kubernetes: valid by the schemas: ${missing}`);
    await t.step({
      name: `kubernetes-validate --strict for ${VERSIONS.join(" and ")}`,
      ignore: missing !== undefined,
      fn: async () => {
        const files = ownFiles().map((name) => `${ROOT}deploy/kubernetes/${name}`);
        assert.ok(files.length >= 10);
        const versions = VERSIONS.flatMap((version) => ["--kubernetes-version", version]);
        for (const [flag, version] of [versions.slice(0, 2), versions.slice(2)]) {
          await run(`${folder}/venv/bin/kubernetes-validate`, ["--strict", flag!, version!, ...files]);
        }
      },
    });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("kubernetes: the autoscaler has the guide's numbers", async () => {
  const { apiVersion, spec } = await readManifest("kubernetes/proc-worker-hpa.yaml", "HorizontalPodAutoscaler");
  assert.equal(apiVersion, "autoscaling/v2");
  assert.deepEqual(spec.scaleTargetRef, { apiVersion: "apps/v1", kind: "Deployment", name: "proc-worker" });
  assert.equal(spec.minReplicas, 1);
  assert.equal(spec.maxReplicas, 10);
  assert.equal(spec.metrics.length, 1);
  assert.deepEqual(spec.metrics[0].resource, { name: "cpu", target: { type: "Utilization", averageUtilization: 60 } });
  assert.deepEqual(spec.behavior.scaleUp.policies, [{ type: "Pods", value: 2, periodSeconds: 60 }]);
  assert.deepEqual(spec.behavior.scaleDown.policies, [{ type: "Pods", value: 1, periodSeconds: 120 }]);
  // Utilization is of what is requested; and a number of replicas in the file would fight with the autoscaler's.
  const { spec: deployment } = await readManifest("kubernetes/proc-worker.yaml", "Deployment");
  assert.equal(deployment.replicas, undefined);
  assert.ok(deployment.template.spec.containers.every((container: Manifest) => container.resources.requests.cpu));
});

/** What the `restricted` level of the pod security standards demands, and more. */
function checkPod(pod: Manifest): void {
  assert.equal(pod.securityContext.runAsNonRoot, true);
  assert.equal(pod.securityContext.runAsUser, 10001);
  assert.deepEqual(pod.securityContext.seccompProfile, { type: "RuntimeDefault" });
  assert.equal(pod.automountServiceAccountToken, false);
  for (const field of ["hostNetwork", "hostPID", "hostIPC"]) assert.equal(pod[field], undefined);
  assert.ok(pod.terminationGracePeriodSeconds > 9);
  for (const container of pod.containers) {
    assert.deepEqual(container.securityContext, {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ["ALL"] },
    });
    for (const probe of ["startupProbe", "readinessProbe", "livenessProbe"]) assert.ok(container[probe], probe);
    for (const kind of ["requests", "limits"]) {
      for (const resource of ["cpu", "memory"]) assert.ok(container.resources[kind][resource], `${kind} ${resource}`);
    }
    for (const { name } of container.ports) assert.ok(["rest", "grpc", "metrics"].includes(name));
  }
}

for (const folder of ["", "s3/"]) {
  Deno.test(`kubernetes: ${folder || "plain: "}restricted pods that reach each other and nothing else`, async () => {
    for (const program of PROGRAMS) {
      const manifests = await readManifests(`kubernetes/${folder}${program}.yaml`);
      const of = (kind: string) => manifests.filter((manifest) => manifest.kind === kind);
      const [deployment] = of("Deployment");
      checkPod(deployment.spec.template.spec);
      const [container] = deployment.spec.template.spec.containers;
      assert.equal(container.image, `donti/deltadatabase:${program}-latest`);
      assert.equal(of("NetworkPolicy").length, 1);
      assert.deepEqual(of("NetworkPolicy")[0].spec.policyTypes, ["Ingress", "Egress"]);
      const ports = container.ports.map((port: Manifest) => port.containerPort);
      for (const { port } of of("NetworkPolicy")[0].spec.ingress.flatMap((rule: Manifest) => rule.ports)) {
        assert.ok(ports.includes(port), `${program} does not listen on ${port}`);
      }
      for (const { targetPort } of of("Service")[0].spec.ports) assert.ok(ports.includes(targetPort));
      for (const { metadata } of manifests) {
        assert.equal(metadata.namespace, "deltadatabase");
        assert.equal(metadata.name, program);
      }
    }
    const main = await readManifest(`kubernetes/${folder}main-worker.yaml`, "Deployment");
    // Two main workers cannot share a store.
    assert.deepEqual(main.spec.strategy, { type: "Recreate" });
    assert.equal(main.spec.replicas, 1);
    const env = new Map<string, Manifest>(
      main.spec.template.spec.containers[0].env.map((variable: Manifest) => [variable.name, variable.valueFrom]),
    );
    assert.deepEqual(env.get("MASTER_KEY"), { secretKeyRef: { name: "delta-master-key", key: "master-key" } });
    assert.deepEqual(env.get("ADMIN_KEY"), {
      secretKeyRef: { name: "delta-master-key", key: "admin-key", optional: true },
    });
    const budget = await readManifest(`kubernetes/${folder}proc-worker.yaml`, "PodDisruptionBudget");
    assert.equal(budget.spec.maxUnavailable, 1);
    const worker = await readManifest(`kubernetes/${folder}proc-worker.yaml`, "Deployment");
    const [container] = worker.spec.template.spec.containers;
    assert.deepEqual(container.readinessProbe.grpc, { port: 50052 });
    const service = await readManifest(`kubernetes/${folder}main-worker.yaml`, "Service");
    const mainAddr = container.env.find(({ name }: Manifest) => name === "MAIN_ADDR").value;
    assert.equal(mainAddr, `${service.metadata.name}:50051`);
    assert.equal(service.spec.type, "ClusterIP");
  });
}

Deno.test("kubernetes: the volume is shared, and both programs mount it where their image expects the store", async () => {
  const claim = await readManifest("kubernetes/shared-pvc.yaml", "PersistentVolumeClaim");
  assert.deepEqual(claim.spec.accessModes, ["ReadWriteMany"]);
  for (const program of PROGRAMS) {
    const { volumes, containers } = (await readManifest(`kubernetes/${program}.yaml`, "Deployment")).spec.template.spec;
    assert.equal(volumes[0].persistentVolumeClaim.claimName, claim.metadata.name);
    assert.deepEqual(containers[0].volumeMounts, [{ name: volumes[0].name, mountPath: "/shared/db" }]);
  }
});

Deno.test("kubernetes: the S3 variant is the same without the volume and with the service", async () => {
  const same = ["proc-worker-hpa.yaml", "namespace.yaml"];
  for (const file of same) {
    assert.deepEqual(await readManifests(`kubernetes/s3/${file}`), await readManifests(`kubernetes/${file}`));
  }
  for (const program of PROGRAMS) {
    const plain = await readManifests(`kubernetes/${program}.yaml`);
    const s3 = await readManifests(`kubernetes/s3/${program}.yaml`);
    const strip = (manifests: Manifest[]) => {
      for (const { kind, spec } of manifests) {
        if (kind === "Deployment") {
          const pod = spec.template.spec;
          delete pod.volumes;
          delete pod.securityContext.fsGroup;
          delete pod.securityContext.fsGroupChangePolicy;
          delete pod.containers[0].volumeMounts;
          pod.containers[0].env = pod.containers[0].env.filter(({ name }: Manifest) => !name.startsWith("S3_"));
        }
        if (kind === "NetworkPolicy") {
          spec.egress = spec.egress.filter(({ ports }: Manifest) => !ports.some(({ port }: Manifest) => port === 443));
        }
      }
      return manifests;
    };
    const names = s3.find(({ kind }) => kind === "Deployment").spec.template.spec.containers[0].env
      .map(({ name }: Manifest) => name).filter((name: string) => name.startsWith("S3_"));
    assert.deepEqual(names.sort(), [
      "S3_ACCESS_KEY",
      "S3_BUCKET",
      "S3_ENDPOINT",
      "S3_REGION",
      "S3_SECRET_KEY",
      "S3_USE_SSL",
    ]);
    assert.deepEqual(strip(s3), strip(plain));
  }
});

Deno.test("kubernetes: the kustomizations name every file, and the guide's list is enough for both programs", async () => {
  for (const [folder, files] of [["", PLAIN], ["s3/", S3]] as const) {
    const { resources } = await readManifest(`kubernetes/${folder}kustomization.yaml`);
    const own = filesOf(`kubernetes/${folder}`, ".yaml").filter((name) =>
      !["kustomization.yaml", "monitoring.yaml"].includes(name)
    );
    assert.deepEqual([...resources].sort(), own);
    const applied = (await Promise.all(files.map((file) => readManifests(`kubernetes/${file}`)))).flat();
    const has = (kind: string, name: string) => applied.some((m) => m.kind === kind && m.metadata.name === name);
    for (const { spec } of applied.filter(({ kind }) => kind === "Deployment")) {
      for (const volume of spec.template.spec.volumes ?? []) {
        assert.ok(has("PersistentVolumeClaim", volume.persistentVolumeClaim.claimName));
      }
      for (const { valueFrom } of spec.template.spec.containers[0].env) {
        if (valueFrom?.configMapKeyRef) assert.ok(has("ConfigMap", valueFrom.configMapKeyRef.name));
      }
    }
    assert.ok(has("Service", "main-worker"));
  }
});
