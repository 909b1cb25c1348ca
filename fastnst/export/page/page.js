// What the visitor does; the network itself runs in worker.js.
const at = (id) => document.getElementById(id);
const [view, before, after, video] = ["view", "before", "after", "video"].map(at);
const CAMERA = { width: 320, height: 240 }; // pixels: a camera should follow, not be sharp

const worker = new Worker("worker.js", { type: "module" });
let latest = 0; // the picture that is asked for; results of earlier ones are dropped
let waiting = null;
let busy = false; // the worker: it is given the next picture when it is done, of several the latest
let name = "picture";
let bitmap = null;

function say(text, isError = false) {
  at("status").textContent = text;
  at("status").classList.toggle("error", isError);
}

function stylize(image, live = false) {
  return new Promise((resolve, reject) => {
    waiting = { id: ++latest, image, live, resolve, reject };
    if (!busy) send();
  });
}

function send() {
  busy = true;
  const { id, image, live } = waiting;
  worker.postMessage({ id, image, live, style: shares() });
}

worker.onmessage = ({ data }) => {
  if (data.kind === "ready") {
    at("file").disabled = at("camera").disabled = false;
    say("Ready.");
  } else if (data.kind === "unusable") {
    say(`The model cannot be loaded: ${data.text}. Open this page through a file server, in a recent browser.`, true);
  } else {
    busy = false;
    if (data.id !== waiting.id) { send(); return; }
    const { resolve, reject } = waiting;
    waiting = null;
    data.kind === "done" ? resolve(data) : reject(new Error(data.text));
  }
};
worker.onerror = () => say("The page's own files cannot be loaded: open it through a file server, in a recent browser.", true);

// A model of many styles: the chosen one, and how much of a second one is mixed in.
const styles = [...document.querySelectorAll("#styles button")];
let chosen = 0;

function mixed() {
  return { second: at("second").selectedIndex, part: Number(at("mix").value) };
}

function shares() {
  if (!styles.length) return null;
  const { second, part } = mixed();
  const all = new Float32Array(styles.length);
  all[chosen] += 1 - part / 100;
  all[second] += part / 100;
  return all;
}

function painting() {
  if (!styles.length) return document.body.dataset.done;
  const { second, part } = mixed();
  return [part < 100 ? chosen : [], part > 0 ? second : []].flat().map((number) => styles[number].dataset.name).join("+");
}

function showStyle() {
  const { second, part } = mixed();
  styles.forEach((button, number) => {
    button.setAttribute("aria-pressed", number === chosen);
    at("second").options[number].disabled = number === chosen;
  });
  const [one, other] = [chosen, second].map((number) => at("second").options[number].text);
  at("shares").textContent = `${100 - part} % ${one}, ${part} % ${other}`;
}

function choose(number) {
  if (mixed().second === number) at("second").selectedIndex = chosen;
  chosen = number;
  at("mix").value = 0;
  showStyle();
  if (bitmap) paint();
}

if (styles.length) {
  at("second").selectedIndex = 1;
  at("mix").value = 0;
  styles.forEach((button, number) => { button.onclick = () => choose(number); });
  at("mix").oninput = showStyle;
  at("mix").onchange = () => { if (bitmap) paint(); };
  at("second").onchange = () => { showStyle(); if (bitmap && mixed().part > 0) paint(); };
  showStyle();
}

function draw(source, width, height, side) {
  const scale = side && Math.max(width, height) > side ? side / Math.max(width, height) : 1;
  before.width = Math.max(1, Math.round(width * scale));
  before.height = Math.max(1, Math.round(height * scale));
  const context = before.getContext("2d", { willReadFrequently: true });
  context.imageSmoothingQuality = "high";
  context.drawImage(source, 0, 0, before.width, before.height);
  return context.getImageData(0, 0, before.width, before.height);
}

function show(image) {
  after.width = image.width;
  after.height = image.height;
  after.getContext("2d").putImageData(image, 0, 0);
  view.classList.remove("empty");
  at("compare").hidden = at("download").disabled = false;
}
at("download").disabled = true;

async function paint() {
  const image = draw(bitmap, bitmap.width, bitmap.height, Number(at("side").value));
  at("download").disabled = true;
  say(`Painting ${image.width} x ${image.height} ...`);
  const started = performance.now();
  const request = latest + 1;
  try {
    show((await stylize(image)).image);
    say(`Done: ${after.width} x ${after.height} in ${((performance.now() - started) / 1000).toFixed(1)} s.`);
  } catch (error) {
    if (request === latest) say(`This picture is too large for this browser (${error.message}): choose a smaller side.`, true);
  }
}

async function open(file) {
  if (!file) return;
  stopCamera();
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    say(`${file.name} is not a picture that this browser can read, or it is damaged: choose another one.`, true);
    return;
  }
  name = file.name.replace(/\.[^.]*$/, "");
  await paint();
}

at("file").onchange = ({ target }) => { open(target.files[0]); target.value = ""; };
at("side").onchange = () => { if (bitmap) paint(); };
at("slider").oninput = ({ target }) => { after.style.clipPath = `inset(0 0 0 ${100 - target.value}%)`; };
at("slider").value = 100;
view.ondragover = (event) => { event.preventDefault(); view.classList.add("over"); };
view.ondragleave = () => view.classList.remove("over");
view.ondrop = (event) => { event.preventDefault(); view.classList.remove("over"); open(event.dataTransfer.files[0]); };

at("download").onclick = () => after.toBlob((blob) => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = `${name}_${painting()}.png`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}, "image/png");

function stopCamera() {
  if (!video.srcObject) return;
  for (const track of video.srcObject.getTracks()) track.stop();
  video.srcObject = null;
  at("camera").textContent = "Camera";
}

const NO_CAMERA = { // by the names that browsers give what went wrong
  NotFoundError: "none is connected",
  NotAllowedError: "it was refused; allow it in the browser's settings of this page, and press the button again",
  NotReadableError: "another program uses it",
};

async function startCamera() {
  if (!navigator.mediaDevices) throw new Error("this page needs https or localhost for it"); // no secure context
  video.srcObject = await navigator.mediaDevices.getUserMedia({ video: { width: CAMERA.width, height: CAMERA.height } });
  video.srcObject.getVideoTracks()[0].onended = () => { stopCamera(); say("The camera was taken away.", true); };
  await video.play();
}

at("camera").onclick = async () => {
  if (video.srcObject) { stopCamera(); say("The last frame of the camera stays."); return; }
  at("camera").disabled = true;
  try {
    await startCamera();
  } catch (error) {
    stopCamera();
    say(`No camera: ${NO_CAMERA[error.name] || error.message}.`, true);
    return;
  } finally {
    at("camera").disabled = false;
  }
  at("camera").textContent = "Stop the camera";
  name = "camera";
  bitmap = null;
  const shown = [performance.now()]; // when, of the last second's frames
  while (video.srcObject) {
    try {
      const { image, device } = await stylize(draw(video, video.videoWidth, video.videoHeight, CAMERA.width), true);
      if (!video.srcObject) return;
      show(image);
      shown.push(performance.now());
      while (shown.length > 2 && shown.at(-1) - shown[0] > 1000) shown.shift();
      const rate = (1000 * (shown.length - 1)) / (shown.at(-1) - shown[0]);
      say(`${rate.toFixed(1)} frames a second, ${image.width} x ${image.height}, steadied (${device}).`);
    } catch (error) {
      if (!video.srcObject) return;
      stopCamera();
      say(`The camera's picture cannot be painted: ${error.message}`, true);
    }
  }
};
