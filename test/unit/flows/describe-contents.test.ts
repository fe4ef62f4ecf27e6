import type { Readable } from 'node:stream';
import { expect, test } from '@jest/globals';
import { pack } from 'tar-stream';
import { describeImage, type ContentTools } from '../../../src/flows/describe-contents.js';
import { sha256, type Digest } from '../../../src/model/digest.js';
import { formatPackageList } from '../../../src/model/package-list.js';
import { computeSeal, LABELS } from '../../../src/model/sealed-image.js';
import { decodeLabels } from '../../../src/model/sealed-labels.js';
import { silentReporter } from '../../../src/ports/reporter.js';
import { checkBills } from '../../../src/stages/attest/check-bill.js';
import { makeEntry } from '../../support/records.js';
import { makeImage } from '../../support/sandbox.js';

type Files = Readonly<Record<string, string>>;

interface Component {
  readonly purl?: string;
  readonly licenses?: readonly unknown[];
  readonly properties: readonly { readonly value: string }[];
}

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

test('a package in the node_modules of a tarball is listed, whether the lockfile knows of it or not', async () => {
  const list = formatPackageList([
    {
      location: 'node_modules/a',
      name: 'a',
      version: '1.0.0',
      integrity: `sha512-${Buffer.alloc(64).toString('base64')}`,
      bundledIn: null,
    },
    {
      location: 'node_modules/a/node_modules/b',
      name: 'b',
      version: '2.0.0',
      integrity: null,
      bundledIn: 'node_modules/a',
    },
  ]);
  const manifest = (name: string, version: string): string =>
    JSON.stringify({ name, version, license: 'MIT' });
  const at = 'app/node_modules/a';
  const packages: Files = {
    '.sjs/packages.json': list,
    [`${at}/package.json`]: manifest('a', '1.0.0'),
    [`${at}/node_modules/b/package.json`]: manifest('b', '2.0.0'),
    [`${at}/node_modules/b/node_modules/@c/d/package.json`]: manifest('@c/d', '3.0.0'),
    [`${at}/node_modules/esm/package.json`]: '{ "type": "module" }',
    [`${at}/test/node_modules/fixture/package.json`]: manifest('fixture', '9.0.0'),
  };
  const source: Files = { 'app/main.js': '1;\n' };
  const [below, above] = [sha256('packages'), sha256('source')];
  const { toolsOf } = openWorld(dpkg('libc6'));
  const image = makeImage({ command: ['node', '/app/main.js'], version: null, name: 'job' });
  const Labels = { ...image.config.Labels, [LABELS.packages]: sha256(list) };
  const diffIds = [...image.diffIds.slice(0, -1), below, above];
  const sealed = { ...image, diffIds, config: { ...image.config, Labels } };
  const entry = makeEntry('job', { version: null, seal: computeSeal(sealed) });
  const tools = toolsOf('job', source);
  const layers = new Map([
    [below, packages],
    [above, source],
  ]);
  const images = {
    ...tools.images,
    inspect: () => Promise.resolve(sealed),
    withLayer: (_image: unknown, digest: Digest, use: (open: () => Readable) => Promise<unknown>) =>
      use(() => tarOf(layers.get(digest) ?? {})),
  };
  const all = {
    ...tools,
    images,
    store: { ...tools.store, listImages: () => Promise.resolve([entry]) },
  } as unknown as ContentTools;

  const cycloneDx = await describeImage('job', 'cyclonedx', all);
  const named = (cycloneDx['components'] as Component[]).filter(({ purl }) => purl?.startsWith('pkg:npm/'));
  expect(
    named.map(({ purl, licenses, properties }) => [
      purl,
      licenses?.length,
      ...properties.map(({ value }) => value),
    ]),
  ).toEqual([
    ['pkg:npm/a@1.0.0', 1, '/app/node_modules/a'],
    ['pkg:npm/b@2.0.0', 1, '/app/node_modules/a', '/app/node_modules/a/node_modules/b'],
    [
      'pkg:npm/%40c/d@3.0.0',
      1,
      '/app/node_modules/a',
      '/app/node_modules/a/node_modules/b/node_modules/@c/d',
      'absent',
    ],
  ]);
  const spdx = await describeImage('job', 'spdx', all);
  const sources = (spdx['packages'] as { name: string; sourceInfo?: string }[]).flatMap(
    ({ name, sourceInfo }) => (sourceInfo === undefined ? [] : [[name, sourceInfo]]),
  );
  expect(sources).toEqual([
    ['b', 'bundled in /app/node_modules/a'],
    ['@c/d', 'bundled in /app/node_modules/a, absent from the lockfile'],
  ]);

  // Both are of this image for whoever verifies what is attested.
  const labels = decodeLabels(sealed.config.Labels ?? {});
  const subject = { name: entry.tag, seal: entry.seal, labels };
  expect(
    checkBills(
      new Map([
        ['cyclonedx', [cycloneDx]],
        ['spdxjson', [spdx]],
      ]),
      subject,
    ),
  ).toEqual([]);
});
