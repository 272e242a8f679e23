// Uploads a file by tus-js-client, breaks off in the middle, goes on, and ends another upload. usage: upload.mjs
// ENDPOINT FILE OTHER_ENDPOINT OTHER_BYTES; prints where it went on.
import { readFileSync } from "node:fs";
import * as tus from "tus-js-client";

const [endpoint, path, otherEndpoint, otherBytes] = process.argv.slice(2);
const bytes = readFileSync(path);
const chunkSize = 256 * 1024;

function run(options, stopAt) {
  return new Promise((resolve, reject) => {
    const seen = { url: null, first: null };
    const upload = new tus.Upload(options.bytes ?? bytes, {
      endpoint: options.endpoint,
      uploadUrl: options.uploadUrl,
      chunkSize,
      retryDelays: [100, 200, 400],
      onUploadUrlAvailable: () => (seen.url = upload.url),
      onChunkComplete: (size, accepted) => {
        seen.first ??= accepted - size;
        if (stopAt && accepted >= stopAt) upload.abort().then(() => resolve(seen), reject);
      },
      onError: reject,
      onSuccess: () => resolve(seen),
    });
    upload.start();
  });
}

const begun = await run({ endpoint }, bytes.length / 2);
const resumed = await run({ uploadUrl: begun.url });
console.log(`went on at ${resumed.first}`);

const other = await run({ endpoint: otherEndpoint, bytes: Buffer.alloc(Number(otherBytes)) }, chunkSize);
await tus.Upload.terminate(other.url);
console.log("terminated");
