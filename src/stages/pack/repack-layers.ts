import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { extract, pack as createPack, type Header as Found, type Pack } from 'tar-stream';
import { SjsError } from '../../errors.js';
import { plainHeader } from '../../model/tar-header.js';

type Header = Parameters<Pack['entry']>[0];

/** A layer of a sealed image on its way into another build context. */
export interface SealedLayer {
  /** Its folder in the context: `layer` or `packages`. */
  readonly folder: string;
  readonly openTar: () => Readable;
}

/**
 * A build context of layers that are sealed already: names, contents, modes and times as they stand there, so that the
 * same COPY makes the same layers of them. Fails with `SEAL_REFUSED` for what sjs would not have packed.
 */
export function repackLayers(dockerfile: string, layers: readonly SealedLayer[]): Readable {
  const pack = createPack();
  void write(pack, dockerfile, layers).catch((error: unknown) => pack.destroy(error as Error));
  return pack as unknown as Readable;
}

async function write(pack: Pack, dockerfile: string, layers: readonly SealedLayer[]): Promise<void> {
  const text = Buffer.from(dockerfile);
  await pipeline(Readable.from([text]), pack.entry({ ...plainHeader('Dockerfile'), size: text.length }));
  for (const { folder, openTar } of layers) {
    pack.entry({ ...plainHeader(folder), type: 'directory', mode: 0o755 });
    await copyLayer(pack, folder, openTar());
  }
  pack.finalize();
}

async function copyLayer(pack: Pack, folder: string, tar: Readable): Promise<void> {
  const archive = extract();
  tar.on('error', (error) => archive.destroy(error));
  tar.pipe(archive);
  try {
    for await (const entry of archive) {
      const header = place(entry.header, folder);
      if (header.type === 'file') await pipeline(entry, pack.entry(header));
      else {
        pack.entry(header);
        entry.resume();
      }
    }
  } finally {
    tar.destroy();
  }
}

function place({ name, type, mode = 0o644, size = 0, linkname, mtime }: Found, folder: string): Header {
  const parts = name.replace(/\/$/, '').split('/');
  const isSafe = !name.includes('\0') && parts.every((part) => !['', '.', '..'].includes(part));
  if (!isSafe || (type !== 'file' && type !== 'directory' && type !== 'symlink')) {
    throw new SjsError(
      'SEAL_REFUSED',
      `a layer of the sealed image has ${JSON.stringify(name.slice(0, 200))}, which sjs would not have packed`,
      { next: 'do not use this image; build it again from its source' },
    );
  }
  return {
    ...plainHeader(`${folder}/${parts.join('/')}`),
    ...(mtime && { mtime }),
    type,
    mode,
    ...(type === 'file' && { size }),
    ...(type === 'symlink' && linkname !== undefined && linkname !== null && { linkname }),
  };
}
