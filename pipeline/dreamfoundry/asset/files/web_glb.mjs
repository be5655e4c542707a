// Writes a GLB for browsers: pictures exchanged, vertices and indices compressed with meshopt.
// Usage: node web_glb.mjs MODULE_FOLDER IN.glb OUT.glb PICTURE.webp...   with one picture per image of IN, in order.
// The file is read back before it is written. Names, extras and XMP stay. Nothing is merged, pruned or simplified, and nodes get no transform.

import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const POSITION_STEPS = 1 << 14; // across the longest side; half a step is far below what a screen shows

const [modules, source, target, ...pictures] = process.argv.slice(2);
const require = createRequire(join(modules, "from-here.js"));
const load = async (name) => import(pathToFileURL(require.resolve(name)));
const { NodeIO } = await load("@gltf-transform/core");
const { EXTMeshoptCompression, EXTTextureWebP, KHRMeshQuantization, KHRXMP } =
  await load("@gltf-transform/extensions");
const { MeshoptDecoder, MeshoptEncoder } = await load("meshoptimizer");
await Promise.all([MeshoptDecoder.ready, MeshoptEncoder.ready]);

const io = new NodeIO()
  .registerExtensions([EXTMeshoptCompression, EXTTextureWebP, KHRMeshQuantization, KHRXMP])
  .registerDependencies({ "meshopt.decoder": MeshoptDecoder, "meshopt.encoder": MeshoptEncoder });
const document = await io.readBinary(new Uint8Array(readFileSync(source)));
const root = document.getRoot();
const before = extents(document);

for (const [index, texture] of root.listTextures().entries()) {
  texture.setImage(new Uint8Array(readFileSync(pictures[index]))).setMimeType("image/webp");
}
for (const primitive of root.listMeshes().flatMap((mesh) => mesh.listPrimitives())) {
  reorder(primitive);
  snapToGrid(primitive.getAttribute("POSITION"));
  const uvs = primitive.getAttribute("TEXCOORD_0");
  if (uvs) uvs.setArray(Uint16Array.from(uvs.getArray(), (value) => Math.round(value * 65535))).setNormalized(true);
}
if (pictures.length) document.createExtension(EXTTextureWebP).setRequired(true);
document.createExtension(KHRMeshQuantization).setRequired(true);
document
  .createExtension(EXTMeshoptCompression)
  .setRequired(true)
  .setEncoderOptions({ method: EXTMeshoptCompression.EncoderMethod.FILTER });
const bytes = await io.writeBinary(document);
requireSame(await io.readBinary(bytes));
writeFileSync(target, bytes);

// Vertices in the order in which triangles meet them: what is near in space is near in the file.
function reorder(primitive) {
  const indices = primitive.getIndices();
  const triangles = Uint32Array.from(indices.getArray());
  const [order, count] = MeshoptEncoder.reorderMesh(triangles, true, true);
  indices.setArray(count < 65535 ? Uint16Array.from(triangles) : triangles);
  for (const attribute of primitive.listAttributes()) {
    const values = attribute.getArray();
    const width = attribute.getElementSize();
    const moved = new values.constructor(count * width);
    order.forEach((to, from) => {
      if (to < count) moved.set(values.subarray(from * width, (from + 1) * width), to * width);
    });
    attribute.setArray(moved);
  }
}

// Floats on a grid whose step is a power of two have mantissas that end in zeros, which compress well.
function snapToGrid(positions) {
  const [low, high] = [positions.getMin([]), positions.getMax([])];
  const side = Math.max(...high.map((value, axis) => value - low[axis]));
  const step = 2 ** Math.floor(Math.log2(side / POSITION_STEPS));
  positions.setArray(positions.getArray().map((value) => Math.round(value / step) * step));
}

// Triangles and bounds of each primitive, as a reader finds them.
function extents(file) {
  return file.getRoot().listMeshes().flatMap((mesh) =>
    mesh.listPrimitives().map((primitive) => {
      const positions = primitive.getAttribute("POSITION");
      const bounds = [...positions.getMinNormalized([]), ...positions.getMaxNormalized([])];
      return { triangles: primitive.getIndices().getCount() / 3, bounds };
    }),
  );
}

function requireSame(read) {
  const after = extents(read);
  before.forEach(({ triangles, bounds }, number) => {
    const side = Math.max(...bounds.slice(3).map((value, axis) => value - bounds[axis]));
    const moved = Math.max(...bounds.map((value, k) => Math.abs(value - after[number].bounds[k])));
    if (after[number].triangles !== triangles || !(moved <= side / POSITION_STEPS)) {
      throw new Error(`mesh ${number}: ${after[number].triangles} of ${triangles} triangles, bounds moved by ${moved}`);
    }
  });
}
