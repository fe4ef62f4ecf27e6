import type { Readable } from 'node:stream';
import { expect, test } from '@jest/globals';
import { pack } from 'tar-stream';
import { describeImage, type ContentTools } from '../../../src/flows/describe-contents.js';
import { sha256 } from '../../../src/model/digest.js';
import { computeSeal } from '../../../src/model/sealed-image.js';
import { silentReporter } from '../../../src/ports/reporter.js';
import { makeEntry } from '../../support/records.js';
import { makeImage } from '../../support/sandbox.js';

type Files = Readonly<Record<string, string>>;

function tarOf(files: Files): Readable {
  const archive = pack();
  archive.entry({ name: 'app/', type: 'directory' });
  for (const [name, text] of Object.entries(files)) archive.entry({ name, mode: 0o644 }, text);
  archive.finalize();
  return archive as unknown as Readable;
}

const dpkg = (name: string): Files => ({
  'var/lib/dpkg/status': `Package: ${name}\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.0\n\n`,
});

/** An engine with images over the same base, each with its own top layer. */
function openWorld(base: Files) {
  const systems = new Map<string, unknown>();
  const own = new Map<string, Files>();
  const toolsOf = (name: string, files: Files): ContentTools => {
    const layer = sha256(JSON.stringify(files));
    const image = makeImage({ command: ['node', '/app/main.js'], version: null, name });
    const sealed = { ...image, diffIds: [...image.diffIds.slice(0, -1), layer] };
    const entry = makeEntry(name, { version: null, seal: computeSeal(sealed) });
    own.set(layer, files);
    return {
      store: { listImages: () => Promise.resolve([entry]) },
      images: {
        inspect: (tag: string) => Promise.resolve(tag === entry.tag ? sealed : null),
        withLayer: (_image: unknown, digest: string, use: (open: () => Readable) => Promise<unknown>) =>
          use(() => tarOf(own.get(digest) ?? {})),
        withRootfs: (_id: unknown, _owner: unknown, use: (tar: Readable) => Promise<unknown>) =>
          use(tarOf({ ...base, ...files })),
      },
      reporter: silentReporter,
      owner: () => Promise.resolve({}),
      systems: {
        get: (key: string) => Promise.resolve(systems.get(key) ?? null),
        set: (key: string, value: unknown) => Promise.resolve(void systems.set(key, value)),
      },
      sjsVersion: '1.0.0',
      writtenAt: null,
    } as unknown as ContentTools;
  };
  return { systems, toolsOf };
}

test('an image that sjs would not have packed says nothing of a base that others have too', async () => {
  const { systems, toolsOf } = openWorld(dpkg('libc6'));
  const evil = toolsOf('evil', { 'app/main.js': '1;\n', ...dpkg('backdoor') });
  await expect(describeImage('evil', 'cyclonedx', evil)).rejects.toMatchObject({ code: 'SEAL_REFUSED' });
  expect(systems.size).toBe(0);
  const bill = JSON.stringify(
    await describeImage('good', 'cyclonedx', toolsOf('good', { 'app/main.js': '2;\n' })),
  );
  expect([bill.includes('libc6'), bill.includes('backdoor')]).toEqual([true, false]);
  expect(systems.size).toBe(1);
});
