// Submits a job to an actmax server, watches it, and downloads its report: gRPC from the plain .proto files.
//
//   node client.mjs [--server 127.0.0.1:50051] [--job job.json] [--out found]
import { createHash, randomUUID } from "node:crypto";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import grpc from "@grpc/grpc-js";
import protoLoader from "@grpc/proto-loader";

const here = dirname(fileURLToPath(import.meta.url));
const { values: options } = parseArgs({
  options: {
    server: { type: "string", default: process.env.ACTMAX_SERVER ?? "127.0.0.1:50051" },
    job: { type: "string", default: join(here, "job.json") },
    out: { type: "string", default: "found" },
    protos: { type: "string", default: join(here, "..", "..", "protos") },
  },
});

const definition = await protoLoader.load(["actmax/v1/job_service.proto"], {
  includeDirs: [options.protos],
  keepCase: true, // field names as in the .proto files
  enums: String,
  longs: Number,
  defaults: true, // unset numbers are 0, unset lists are empty
  oneofs: true,
});
const { JobService } = grpc.loadPackageDefinition(definition).actmax.v1;
const jobs = new JobService(options.server, grpc.credentials.createInsecure(), {
  "grpc.max_receive_message_length": 64 * 1024 * 1024,
});

/** A unary call as a promise. */
function call(method, request) {
  return new Promise((resolve, reject) => {
    const deadline = new Date(Date.now() + 180_000);
    jobs[method](request, { deadline }, (error, response) => (error ? reject(error) : resolve(response)));
  });
}

const ended = new Set(["JOB_STATE_SUCCEEDED", "JOB_STATE_FAILED", "JOB_STATE_CANCELLED"]);
const lost = new Set([grpc.status.UNAVAILABLE, grpc.status.CANCELLED]);

/** Watches a job until it has ended; a lost connection is opened again where it broke. */
async function watch(name, show) {
  let resume_token = "";
  let state = "";
  let failures = 0;
  while (!ended.has(state)) {
    try {
      for await (const response of jobs.WatchJob({ name, resume_token })) {
        resume_token = response.resume_token;
        const { snapshot, event } = response;
        if (event) failures = 0;
        state = snapshot?.state ?? event?.state_change?.state ?? state;
        const progress = snapshot?.progress ?? event?.progress;
        if (progress) show(state, progress);
      }
    } catch (error) {
      if (!lost.has(error.code) || ++failures > 10) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100 * 2 ** failures));
    }
  }
  return state;
}

/** Downloads one artifact, checks it, and writes it whole or not at all. */
async function download(name, path, folder) {
  const hash = createHash("sha256");
  const parts = [];
  let artifact;
  for await (const response of jobs.DownloadArtifact({ name, path })) {
    artifact ??= response.artifact;
    hash.update(response.data);
    parts.push(response.data);
  }
  if (hash.digest("hex") !== artifact.sha256) throw new Error(`${path} was damaged on its way`);
  const file = join(folder, path); // `path` is ours, not the server's, so it stays in `folder`
  await mkdir(dirname(file), { recursive: true });
  await writeFile(`${file}.part`, Buffer.concat(parts));
  await rename(`${file}.part`, file);
  return file;
}

/** A plain object as google.protobuf.Struct, which is how a component's options travel. */
function struct(object) {
  const value = (item) => {
    if (item === null) return { nullValue: "NULL_VALUE" };
    if (Array.isArray(item)) return { listValue: { values: item.map(value) } };
    if (typeof item === "object") return { structValue: struct(item) };
    return { [`${typeof item}Value`.replace("booleanValue", "boolValue")]: item };
  };
  return { fields: Object.fromEntries(Object.entries(object).map(([key, item]) => [key, value(item)])) };
}

/** A component of job.json as actmax.v1.Component. */
function component({ name, options = {} }) {
  return { name, options: struct(options) };
}

try {
  const spec = JSON.parse(await readFile(options.job, "utf8"));
  for (const role of ["generator", "target", "objective", "optimizer"]) if (spec[role]) spec[role] = component(spec[role]);
  spec.baselines = (spec.baselines ?? []).map(component);
  // A repeat with the same request_id creates no second job.
  const job = await call("CreateJob", { request_id: randomUUID(), spec });
  console.log(`created ${job.name}`);

  const state = await watch(job.name, (_, progress) => {
    if (progress.searches.length === 0) return;
    const best = Math.max(...progress.searches.map((search) => search.best_response)); // NaN before the first one
    console.log(`${progress.evaluations} of ${progress.total_evaluations} evaluations, best response ${best.toPrecision(4)}`);
  });
  if (state !== "JOB_STATE_SUCCEEDED") {
    const { error } = await call("GetJob", { name: job.name });
    throw new Error(`the job ended as ${state} ${error?.message ?? ""}`);
  }
  for (const path of ["report.html", "result.json"]) console.log(`wrote ${await download(job.name, path, options.out)}`);
} catch (error) {
  // The status message names the fields that are wrong.
  console.error(error.code === undefined ? error.message : `${grpc.status[error.code]}: ${error.details}`);
  process.exitCode = 1;
} finally {
  jobs.close();
}
