// Runs the network beside the page, so that the page stays awake meanwhile.
import * as ort from "./ort.wasm.min.mjs";

ort.env.wasm.numThreads = 1; // threads need headers that a plain file server does not send
const ready = ort.InferenceSession.create("model.onnx", { executionProviders: ["wasm"] });
ready.then(() => postMessage({ kind: "ready" }), (error) => postMessage({ kind: "unusable", text: String(error.message || error) }));

onmessage = async ({ data: { id, image, style } }) => {
  try {
    const { data, width, height } = image;
    const pixels = width * height;
    const planes = new Float32Array(3 * pixels);
    for (let i = 0; i < pixels; i++) {
      const visible = data[4 * i + 3] > 0; // colours that nothing shows are arbitrary: white, as on the command line
      for (let c = 0; c < 3; c++) planes[c * pixels + i] = visible ? data[4 * i + c] / 255 : 1;
    }
    const session = await ready;
    const given = { picture: new ort.Tensor("float32", planes, [1, 3, height, width]) };
    if (style) given.style = new ort.Tensor("float32", style, [style.length]);
    const [result] = Object.values(await session.run(given));
    const across = result.dims[3], size = result.dims[2] * across, factor = across / width; // 1, or what it enlarges by
    const painted = new Uint8ClampedArray(4 * size);
    for (let i = 0; i < size; i++) {
      for (let c = 0; c < 3; c++) painted[4 * i + c] = Math.floor(result.data[c * size + i] * 255 + 0.5);
      const from = Math.floor(Math.floor(i / across) / factor) * width + Math.floor((i % across) / factor);
      painted[4 * i + 3] = data[4 * from + 3];
    }
    postMessage({ kind: "done", id, image: new ImageData(painted, across) }, [painted.buffer]);
  } catch (error) {
    postMessage({ kind: "failed", id, text: String(error.message || error) });
  }
};
