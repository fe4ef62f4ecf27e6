import type { Readable } from 'node:stream';
import { expect, test } from '@jest/globals';
import { pack } from 'tar-stream';
import { diffImages, type ImageDiff } from '../../../src/flows/diff-images.js';
import type { TargetTools } from '../../../src/flows/find-target.js';
import { sha256 } from '../../../src/model/digest.js';
import { computeSeal, type ImageFacts } from '../../../src/model/sealed-image.js';
import { makeEntry } from '../../support/records.js';
import { makeImage } from '../../support/sandbox.js';

type Files = Readonly<Record<string, string>>;

/** What differs between two images and the layers that sjs put in them. */
function diff(
  a: ImageFacts,
  b: ImageFacts,
  [inA, inB]: readonly [Files, Files] = [{}, {}],
): Promise<ImageDiff> {
  const sealed = [a, b].map((image, at) => {
    const facts = { ...image, imageId: `image ${at}` };
    const tag = `sjs/job:1.0.${at}-0123456789ab`;
    return { facts, entry: makeEntry('job', { seal: computeSeal(image), tag }) };
  });
  const open = (files: Files) => (): Readable => {
    const archive = pack();
    for (const [name, text] of Object.entries(files)) archive.entry({ name, mode: 0o644 }, text);
    archive.finalize();
    return archive as unknown as Readable;
  };
  const tools = {
    store: { listImages: () => Promise.resolve(sealed.map(({ entry }) => entry)) },
    images: {
      inspect: (name: string) =>
        Promise.resolve(sealed.find(({ entry }) => entry.tag === name)?.facts ?? null),
      withLayer: (image: ImageFacts, _layer: unknown, use: (open: () => Readable) => unknown) =>
        use(open(image.imageId === 'image 0' ? inA : inB)),
    },
  };
  const [from, to] = sealed.map(({ entry }) => entry.tag) as [string, string];
  return diffImages(from, to, tools as unknown as TargetTools);
}

const image = makeImage();
const withConfig = (config: object): ImageFacts => ({ ...image, config: { ...image.config, ...config } });
const otherLayer: ImageFacts = { ...image, diffIds: [...image.diffIds.slice(0, -1), sha256('other')] };
const layer = { what: 'layer 2', from: image.diffIds[1], to: sha256('other') };
const NOTHING = { isSame: false, rights: [], base: [], program: [], env: [], files: [], image: [] };

test('a working directory, and other config that no section has', async () => {
  const other = withConfig({ WorkingDir: '/tmp', StopSignal: 'SIGKILL' });
  expect(await diff(image, other)).toMatchObject({
    ...NOTHING,
    image: [
      { what: 'StopSignal', from: 'SIGTERM', to: 'SIGKILL' },
      { what: 'WorkingDir', from: '/app', to: '/tmp' },
    ],
  });
});

test('options of node that are not those of the rights', async () => {
  const { Entrypoint: [node = '', ...rest] = [] } = image.config;
  const other = withConfig({ Entrypoint: [node, '--allow-child-process', ...rest] });
  const { image: found, ...others } = await diff(image, other);
  expect({ ...others, image: [] }).toMatchObject(NOTHING);
  expect(found).toMatchObject([
    { what: 'options of node', to: expect.arrayContaining(['--allow-child-process']) },
  ]);
});

test('the files of sjs itself, and inputs', async () => {
  const preload = '.sjs/secrets-preload.cjs';
  const files = [{ [preload]: 'one', 'in/data': 'given' }, { [preload]: 'two' }] as const;
  expect(await diff(image, otherLayer, files)).toMatchObject({
    ...NOTHING,
    files: [
      { what: `/${preload}`, from: sha256('one'), to: sha256('two') },
      { what: '/in/data', from: sha256('given'), to: null },
    ],
  });
});

test('two seals never differ in nothing', async () => {
  expect(await diff(image, otherLayer)).toMatchObject({ ...NOTHING, image: [layer] });
  const twice = withConfig({ Env: ['A=1', ...(image.config.Env ?? [])] });
  const thrice = withConfig({ Env: ['A=0', 'A=1', ...(image.config.Env ?? [])] });
  expect(await diff(twice, thrice)).toMatchObject({
    ...NOTHING,
    image: [{ what: 'Env', from: twice.config.Env, to: thrice.config.Env }],
  });
});
