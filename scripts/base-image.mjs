// base-image.mjs LAYER.tar LAYOUT ARCH PROGRAM TITLE VERSION ENV…: an OCI image layout around one layer; prints
// the manifest's digest.
// The layer stays uncompressed: what gzip writes may differ from machine to machine.
import { createHash } from 'node:crypto';
import { createReadStream, mkdirSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';

const [layer, layout, architecture, program, title, version, ...env] = process.argv.slice(2);
const blobs = join(layout, 'blobs', 'sha256');
mkdirSync(blobs, { recursive: true });

const hash = createHash('sha256');
await pipeline(createReadStream(layer), hash);
const layerHex = hash.digest('hex');
const size = statSync(layer).size;
renameSync(layer, join(blobs, layerHex));

function addJson(mediaType, value) {
  const bytes = Buffer.from(JSON.stringify(value));
  const hex = createHash('sha256').update(bytes).digest('hex');
  writeFileSync(join(blobs, hex), bytes);
  return { mediaType, digest: `sha256:${hex}`, size: bytes.length };
}

const config = addJson('application/vnd.oci.image.config.v1+json', {
  created: '1970-01-01T00:00:00Z',
  architecture,
  os: 'linux',
  config: {
    Env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', ...env],
    Cmd: [program],
    Labels: {
      'org.opencontainers.image.title': `${title} base image for sjs`,
      'org.opencontainers.image.version': version,
    },
  },
  rootfs: { type: 'layers', diff_ids: [`sha256:${layerHex}`] },
  history: [{ created: '1970-01-01T00:00:00Z', created_by: 'scripts/base' }],
});

const manifestType = 'application/vnd.oci.image.manifest.v1+json';
const manifest = addJson(manifestType, {
  schemaVersion: 2,
  mediaType: manifestType,
  config,
  layers: [{ mediaType: 'application/vnd.oci.image.layer.v1.tar', digest: `sha256:${layerHex}`, size }],
});

writeFileSync(join(layout, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }));
writeFileSync(
  join(layout, 'index.json'),
  JSON.stringify({
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.index.v1+json',
    manifests: [
      {
        ...manifest,
        platform: { architecture, os: 'linux' },
        annotations: { 'org.opencontainers.image.ref.name': version },
      },
    ],
  }),
);
console.log(manifest.digest);
