// A camera of another make: it publishes PNG files as frames, from docs/reference/wire.md alone, and keeps the rules of a peer.
//
//     npm install
//     node camera.js --station plant/line1/cam2 --folder pictures [--url mqtt://127.0.0.1:1883]
//
// The station must be commissioned with the codec `png`, and the pictures must have the profile's input size.
// It prints one line of JSON a part and ends when every part has its verdict.

import { createHash, randomUUID } from "node:crypto";
import { existsSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";

import { decode, encode } from "@msgpack/msgpack";
import mqtt from "mqtt";

const CODEC = "png";
const RESEND_MILLISECONDS = 2000;
const PATIENCE_MILLISECONDS = 5000;

const { values: options } = parseArgs({
  options: {
    url: { type: "string", default: "mqtt://127.0.0.1:1883" },
    prefix: { type: "string", default: "vad/v1" },
    station: { type: "string" },
    folder: { type: "string" },
    ca: { type: "string" },
    certificate: { type: "string" },
    key: { type: "string" },
  },
});
if (!options.station || !options.folder) {
  console.error("usage: node camera.js --station SITE/LINE/STATION --folder PICTURES");
  process.exit(2);
}

function refuse(reason) {
  console.error(`error: ${reason}`);
  process.exit(2);
}

const bootId = randomUUID();
const topic = (channel) => `${options.prefix}/${options.station}/${channel}`;
const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");
const read = (file) => (file ? readFileSync(file) : undefined);

// The sequence is gapless per station across restarts: the last number used is kept beside the pictures.
const sequenceFile = join(options.folder, ".sequence");
let sequence = existsSync(sequenceFile) ? Number(readFileSync(sequenceFile, "utf8")) : 0;

// What a part's frame is until its verdict comes: the same bytes are sent again.
const waiting = new Map();

function frameOf(file, rung, [height, width]) {
  const payload = readFileSync(join(options.folder, file));
  if (payload.readUInt32BE(16) !== width || payload.readUInt32BE(20) !== height) {
    refuse(`${file} is not ${width}x${height}, the profile's input size; save it so`);
  }
  sequence += 1;
  writeFileSync(sequenceFile, String(sequence));
  const inspectionId = randomUUID();
  const message = encode({
    kind: "frame",
    inspection_id: inspectionId,
    station: options.station,
    boot_id: bootId,
    sequence,
    part_id: file.replace(/\.png$/, ""),
    captured_at: Date.now() / 1000,
    artifact: rung.artifact,
    codec: rung.codec,
    payload,
    payload_sha256: sha256(payload),
  });
  return { inspectionId, message: Buffer.from(message) };
}

function start(client, profile) {
  const rung = profile.ladder.find((each) => each.codec === CODEC);
  if (!rung) {
    const ladder = profile.ladder.map((each) => each.codec);
    refuse(`the station's ladder is ${ladder}, without ${CODEC}; commission it with --codec ${CODEC}`);
  }
  const files = readdirSync(options.folder).filter((name) => name.endsWith(".png")).sort();
  if (files.length === 0) refuse(`${options.folder} holds no .png file`);
  for (const file of files) {
    const { inspectionId, message } = frameOf(file, rung, profile.input_size);
    waiting.set(inspectionId, message);
  }
  const sendAll = () => waiting.forEach((message) => client.publish(topic("frame"), message, { qos: 1 }));
  sendAll();
  setInterval(sendAll, RESEND_MILLISECONDS);
}

function receive(client, payload) {
  const verdict = JSON.parse(payload);
  const message = waiting.get(verdict.inspection_id);
  if (verdict.outcome === "unreadable") {
    // Whose bytes were unreadable is told by their digest alone: one that differs was damaged on the way, and is resent.
    for (const [inspectionId, sent] of waiting) {
      if (sha256(sent) === verdict.received_sha256) waiting.delete(inspectionId);
    }
  } else if (message) {
    waiting.delete(verdict.inspection_id);
  } else {
    return;
  }
  console.log(JSON.stringify({ part_id: verdict.part_id, outcome: verdict.outcome, score: verdict.score ?? null }));
  if (waiting.size === 0) client.end(false, {}, () => process.exit(0));
}

const client = mqtt.connect(options.url, {
  clientId: `foreign-${options.station.replaceAll("/", "-")}`,
  protocolVersion: 5,
  ca: read(options.ca),
  cert: read(options.certificate),
  key: read(options.key),
});
let started = false;
client.on("connect", () => client.subscribe([topic("profile"), topic("verdict")], { qos: 1 }));
client.on("message", (name, payload) => {
  if (name === topic("verdict")) receive(client, payload);
  else if (!started) {
    started = true;
    start(client, decode(payload));
  }
});
setTimeout(() => {
  if (!started) console.error(`no profile of ${options.station} yet: is the service up, and that station commissioned?`);
}, PATIENCE_MILLISECONDS).unref();
// The client connects again by itself, and what waits is sent again: an error is worth a line, not the end.
client.on("error", (error) => console.error(error.message));
