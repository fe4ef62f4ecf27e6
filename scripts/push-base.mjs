#!/usr/bin/env node
// push-base.mjs LAYOUT 127.0.0.1:PORT/NAME:TAG: pushes the image of an OCI layout to a registry on this machine.
// Prints the reference by digest.
import { createReadStream, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';

function fail(message) {
  console.error(`error: ${message}`);
  process.exit(1);
}

const [layout, reference] = process.argv.slice(2);
// Loopback alone: there is no TLS and no authentication here.
const match = /^((?:127\.0\.0\.1|localhost):\d+)\/([a-z0-9._/-]+):([\w][\w.-]*)$/.exec(reference ?? '');
if (!match) fail('usage: push-base.mjs LAYOUT 127.0.0.1:PORT/NAME:TAG');
const [, host, name, tag] = match;
const api = `http://${host}/v2/${name}`;

const blobPath = (digest) => join(layout, 'blobs', ...digest.split(':'));

async function request(method, url, accepted, options = {}) {
  const response = await fetch(url, { method, ...options });
  if (!accepted.includes(response.status)) {
    fail(`${method} ${url}: ${response.status} ${await response.text()}`);
  }
  return response;
}

async function pushBlob({ digest, size }) {
  const present = await request('HEAD', `${api}/blobs/${digest}`, [200, 404]);
  if (present.status === 200) return;
  const upload = await request('POST', `${api}/blobs/uploads/`, [202]);
  const target = new URL(upload.headers.get('location'), api);
  target.searchParams.set('digest', digest);
  await request('PUT', target, [201], {
    headers: { 'content-type': 'application/octet-stream', 'content-length': String(size) },
    body: Readable.toWeb(createReadStream(blobPath(digest))),
    duplex: 'half',
  });
}

const [descriptor] = JSON.parse(readFileSync(join(layout, 'index.json'), 'utf8')).manifests;
const bytes = readFileSync(blobPath(descriptor.digest));
const manifest = JSON.parse(bytes.toString());
for (const blob of [manifest.config, ...manifest.layers]) await pushBlob(blob);
await request('PUT', `${api}/manifests/${tag}`, [201], {
  headers: { 'content-type': descriptor.mediaType },
  body: bytes,
});
console.log(`${host}/${name}@${descriptor.digest}`);
