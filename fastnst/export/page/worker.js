// Runs the network beside the page, so that the page stays awake meanwhile.
// On the GPU where the browser has WebGPU; else, and when that fails, on the CPU.
let ort, device;
let ready = navigator.gpu ? load("webgpu").catch(() => load("wasm")) : load("wasm");
ready.then(() => postMessage({ kind: "ready" }), (error) => postMessage({ kind: "unusable", text: String(error.message || error) }));

async function load(provider) {
  if (provider === "webgpu") {
    const adapter = await navigator.gpu.requestAdapter();
    if (!adapter || adapter.info?.isFallbackAdapter) throw new Error("no GPU"); // or one that the CPU plays
  }
  ort = await import(`./ort.${provider}.min.mjs`);
  // Threads need two headers that a plain file server does not send.
  ort.env.wasm.numThreads = self.crossOriginIsolated && provider === "wasm" ? Math.min(8, navigator.hardwareConcurrency) : 1;
  device = provider === "webgpu" ? "WebGPU" : `WebAssembly, ${ort.env.wasm.numThreads} thread${ort.env.wasm.numThreads > 1 ? "s" : ""}`;
  return ort.InferenceSession.create("model.onnx", { executionProviders: [provider] });
}

async function run(planes, width, height, style) {
  const session = await ready;
  const given = { picture: new ort.Tensor("float32", planes, [1, 3, height, width]) };
  if (style) given.style = new ort.Tensor("float32", style, [style.length]);
  try {
    return Object.values(await session.run(given))[0];
  } catch (error) {
    if (device !== "WebGPU") throw error;
    ready = load("wasm");
    return run(planes, width, height, style);
  }
}

// Steadying: v = v + AMOUNT * max(0, 1 - d / APART) * (v before - v) for what the network sees and for what it paints,
// where d is the largest difference of the pixel's red, green and blue to what the network saw before.
const AMOUNT = 0.8; // as stylize.py --temporal
const APART = 0.125; // of [0, 1]: a pixel that differs by more has changed, and keeps nothing
let before = null; // of the camera's last frame: what the network saw and painted

function weights({ planes }, now, pixels) {
  const all = new Float32Array(pixels);
  for (let i = 0; i < pixels; i++) {
    let most = 0;
    for (let c = i; c < 3 * pixels; c += pixels) most = Math.max(most, Math.abs(now[c] - planes[c]));
    all[i] = AMOUNT * Math.max(0, 1 - most / APART);
  }
  return all;
}

onmessage = async ({ data: { id, image, style, live } }) => {
  try {
    const { data, width, height } = image;
    const pixels = width * height;
    const planes = new Float32Array(3 * pixels);
    for (let i = 0; i < pixels; i++) {
      const visible = data[4 * i + 3] > 0; // colours that nothing shows are arbitrary: white, as on the command line
      for (let c = 0; c < 3; c++) planes[c * pixels + i] = visible ? data[4 * i + c] / 255 : 1;
    }
    const steadied = live && before?.width === width && before.height === height && String(before.style) === String(style);
    const weight = steadied ? weights(before, planes, pixels) : null;
    if (weight) for (let i = 0; i < 3 * pixels; i++) planes[i] += weight[i % pixels] * (before.planes[i] - planes[i]);
    const result = await run(planes, width, height, style);
    const across = result.dims[3], size = result.dims[2] * across, factor = across / width; // 1, or what it enlarges by
    const values = result.data, painted = new Uint8ClampedArray(4 * size);
    for (let i = 0; i < size; i++) {
      const from = Math.floor(Math.floor(i / across) / factor) * width + Math.floor((i % across) / factor);
      for (let c = 0, place = i; c < 3; c++, place += size) {
        if (weight) values[place] += weight[from] * (before.values[place] - values[place]);
        painted[4 * i + c] = Math.floor(values[place] * 255 + 0.5);
      }
      painted[4 * i + 3] = data[4 * from + 3];
    }
    before = live ? { planes, values, width, height, style } : null;
    postMessage({ kind: "done", id, device, image: new ImageData(painted, across) }, [painted.buffer]);
  } catch (error) {
    postMessage({ kind: "failed", id, text: String(error.message || error) });
  }
};
