// A neuron as a plugin: serves actmax.v1.TargetService from the plain .proto files. It fires for bars of one orientation (a Gabor filter).
//
//   node neuron.mjs [--address 127.0.0.1:50062] [--size 32]
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import grpc from "@grpc/grpc-js";
import protoLoader from "@grpc/proto-loader";

const here = dirname(fileURLToPath(import.meta.url));
const { values: options } = parseArgs({
  options: {
    address: { type: "string", default: "127.0.0.1:50062" },
    size: { type: "string", default: "32" },
    protos: { type: "string", default: join(here, "..", "..", "protos") },
  },
});
const size = Number(options.size);
const version = "1"; // change it whenever the same image may be answered otherwise

const definition = await protoLoader.load(["actmax/v1/plugin_service.proto"], {
  includeDirs: [options.protos],
  keepCase: true,
  longs: Number,
  defaults: true,
});
const { TargetService } = grpc.loadPackageDefinition(definition).actmax.v1;

// Even and odd Gabor filters of a few orientations: the units.
const angles = [0, 45, 90, 135];
const filters = angles.map((degrees) => {
  const [cos, sin] = [Math.cos((degrees * Math.PI) / 180), Math.sin((degrees * Math.PI) / 180)];
  const [even, odd] = [new Float64Array(size * size), new Float64Array(size * size)];
  for (let row = 0; row < size; row++)
    for (let column = 0; column < size; column++) {
      const [x, y] = [(column + 0.5) / size - 0.5, (row + 0.5) / size - 0.5];
      const envelope = Math.exp(-(x * x + y * y) / (2 * 0.18 ** 2)) / (size * size);
      even[row * size + column] = envelope * Math.cos(2 * Math.PI * 4 * (x * cos + y * sin));
      odd[row * size + column] = envelope * Math.sin(2 * Math.PI * 4 * (x * cos + y * sin));
    }
  return [even, odd];
});

/** The energy of each orientation in one (3, size, size) image, as a complex cell of the visual cortex answers. */
function respond(image) {
  return filters.map(([even, odd]) => {
    let [a, b] = [0, 0];
    for (let place = 0; place < size * size; place++) {
      const grey = (image[place] + image[size * size + place] + image[2 * size * size + place]) / 3 - 0.5;
      a += grey * even[place];
      b += grey * odd[place];
    }
    return 100 * Math.sqrt(a * a + b * b);
  });
}

const server = new grpc.Server({ "grpc.max_receive_message_length": 16 * 1024 * 1024 });
server.addService(TargetService.service, {
  Describe: (call, answer) =>
    answer(null, {
      version,
      stimulus: { shape: [3, size, size], low: 0, high: 1 },
      layers: [{ name: "v1", shape: [angles.length], kind: "complex cell", unit_names: angles.map((degrees) => `${degrees} degrees`) }],
      max_message_bytes: 16 * 1024 * 1024,
    }),
  Respond: ({ request }, answer) => {
    const { shape, dtype, data } = request.stimuli;
    const values = shape.reduce((product, each) => product * each, 1);
    if (dtype !== "float32" || shape.slice(1).join() !== `3,${size},${size}` || data.length !== 4 * values)
      return answer({ code: grpc.status.INVALID_ARGUMENT, details: `stimuli are float32 of shape (n, 3, ${size}, ${size})` });
    if (request.version && request.version !== version)
      return answer({ code: grpc.status.FAILED_PRECONDITION, details: `this is version ${version}, ${request.version} was asked` });
    if (request.layers.some((layer) => layer !== "v1")) return answer({ code: grpc.status.NOT_FOUND, details: "the only layer is v1" });
    // Copied, since a Float32Array must begin at a multiple of four bytes.
    const images = new Float32Array(data.buffer.slice(data.byteOffset, data.byteOffset + data.length));
    const answers = new Float32Array(shape[0] * angles.length);
    for (let row = 0; row < shape[0]; row++)
      answers.set(respond(images.subarray(row * 3 * size * size, (row + 1) * 3 * size * size)), row * angles.length);
    const v1 = { dtype: "float32", shape: [shape[0], angles.length], data: Buffer.from(answers.buffer) };
    answer(null, { version, responses: { v1 } });
  },
});
server.bindAsync(options.address, grpc.ServerCredentials.createInsecure(), (error, port) => {
  if (error) {
    console.error(error.message);
    process.exitCode = 1;
    return;
  }
  console.log(`neuron serving on ${options.address.replace(/:\d+$/, "")}:${port}`);
});
