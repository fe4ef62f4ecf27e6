import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { sha256 } from '../../../../src/model/digest.js';
import { isFindings } from '../../../../src/model/base.js';
import type { RuntimeConfig } from '../../../../src/model/runtime-config.js';
import { splitRuntimeConfig } from '../../../../src/model/runtime-config.js';
import { DEFAULT_RESOURCES } from '../../../../src/model/sandbox.js';
import {
  computeSeal,
  formatTag,
  LABELS,
  type ImageFacts,
  type IndexEntry,
} from '../../../../src/model/sealed-image.js';
import { decodeLabels, encodeLabels } from '../../../../src/model/sealed-labels.js';
import { checkBuiltImage, checkRootfs } from '../../../../src/stages/seal/check-built-image.js';
import { checkSeal } from '../../../../src/stages/seal/check-seal.js';
import { renderDockerfile } from '../../../../src/stages/render/render-dockerfile.js';
import { makeBase, makeSandbox } from '../../../support/sandbox.js';

const base = makeBase();
const rendered = renderDockerfile(
  readFileSync('templates/node.Dockerfile', 'utf8'),
  makeSandbox(),
  base,
  DEFAULT_RESOURCES,
  sha256('profile'),
);

const image = (config: Partial<RuntimeConfig> = {}, overrides: Partial<ImageFacts> = {}): ImageFacts => ({
  imageId: 'sha256:1',
  platform: { os: 'linux', architecture: 'amd64' },
  diffIds: [...base.diffIds, sha256('app')],
  config: { ...rendered.expectedConfig, ...config },
  unknownConfigFields: [],
  tags: [],
  sizeBytes: 1,
  ...overrides,
});

const entryOf = (facts: ImageFacts): IndexEntry => ({
  formatVersion: 1,
  seal: computeSeal(facts),
  tag: formatTag('job', '1.0.0', computeSeal(facts)),
  name: 'job',
  version: '1.0.0',
  imageId: facts.imageId,
  inputs: sha256('inputs'),
  base: { image: 'x/y', digest: base.digest, manifestDigest: base.manifestDigest, version: '24.1.0' },
  createdAt: '2026-01-01T00:00:00Z',
});

describe('the seal', () => {
  test('is the same for absent, null and empty fields, and for any order of keys', () => {
    const raw = {
      User: '1:1',
      Labels: { b: '2', a: '1' },
      Volumes: null,
      Cmd: [],
      WorkingDir: '',
      Hostname: '',
      Tty: false,
    };
    const other = { Labels: { a: '1', b: '2' }, User: '1:1' };
    const seal = (config: object) =>
      computeSeal({ ...image(), config: splitRuntimeConfig(config as Record<string, unknown>).config });
    expect(seal(raw)).toBe(seal(other));
  });

  test.each([
    ['one label', image({ Labels: { ...rendered.expectedConfig.Labels, x: 'y' } })],
    ['one env value', image({ Env: ['PATH=/bin'] })],
    ['a volume', image({ Volumes: { '/data': {} } })],
    ['a health check', image({ Healthcheck: { Test: ['CMD', 'x'] } })],
    ['a stop signal', image({ StopSignal: 'SIGUSR1' })],
    ['an exposed port', image({ ExposedPorts: { '80/tcp': {} } })],
    ['a layer', image({}, { diffIds: [...base.diffIds, sha256('other')] })],
    ['the platform', image({}, { platform: { os: 'linux', architecture: 'arm64' } })],
    ['the variant', image({}, { platform: { os: 'linux', architecture: 'amd64', variant: 'v2' } })],
  ])('changes with %s, and the change is refused', (_name, changed) => {
    expect(computeSeal(changed)).not.toBe(computeSeal(image()));
    expect(() => checkSeal(changed, entryOf(image()))).toThrow(
      expect.objectContaining({ code: 'SEAL_MISMATCH' }),
    );
  });

  test('holds for the image it was made of', () => {
    expect(checkSeal(image(), entryOf(image())).labels.plan.resources).toEqual(DEFAULT_RESOURCES);
  });

  test('of an image that is gone says so', () => {
    expect(() => checkSeal(null, entryOf(image()))).toThrow(
      expect.objectContaining({ code: 'SEAL_IMAGE_MISSING' }),
    );
  });

  test('a config field this sjs does not know is refused, when it is not empty', () => {
    expect(splitRuntimeConfig({ NewField: 'x', OtherNew: null, Domainname: '' }).unknownFields).toEqual([
      'NewField',
    ]);
    const facts = image({}, { unknownConfigFields: ['NewField'] });
    expect(() => checkSeal(facts, entryOf(facts))).toThrow(
      expect.objectContaining({ code: 'SEAL_REFUSED', message: expect.stringContaining('NewField') }),
    );
  });

  test.each([
    ['sandbox', { name: 'another' }],
    ['sandbox', { version: '9.0.0' }],
    ['base', { base: { ...entryOf(image()).base, manifestDigest: sha256('another') } }],
  ])('of an index that names another %s is refused', (what, change) => {
    expect(() => checkSeal(image(), { ...entryOf(image()), ...change })).toThrow(
      expect.objectContaining({
        code: 'SEAL_INDEX_MISMATCH',
        message: expect.stringContaining(`another ${what}`),
      }),
    );
  });

  test.each([
    undefined,
    'root',
    '0',
    '0:0',
    '65532',
    '65532:0',
    'node:node',
    '1000:1000',
    '00:00',
    '65532:root',
    '065532:65532',
  ])('T08: user %s is refused though the seal holds', (user) => {
    const { User: _, ...config } = rendered.expectedConfig;
    const facts = { ...image(), config: user === undefined ? config : { ...config, User: user } };
    expect(() => checkSeal(facts, entryOf(facts))).toThrow(
      expect.objectContaining({ code: 'SEAL_REFUSED', message: expect.stringContaining('user') }),
    );
  });

  test.each([{ Volumes: { '/data': {} } }, { OnBuild: ['RUN x'] }])(
    '%j is refused though the seal holds',
    (config) => {
      const facts = image(config);
      expect(() => checkSeal(facts, entryOf(facts))).toThrow(
        expect.objectContaining({ code: 'SEAL_REFUSED' }),
      );
    },
  );
});

describe('labels', () => {
  test('come back as they went in', () => {
    expect(decodeLabels(encodeLabels(rendered.labels))).toEqual(rendered.labels);
  });

  test('say what is frozen, and nothing of it when nothing is', () => {
    const { plan } = rendered.labels;
    expect(plan).not.toHaveProperty('determinism');
    const frozen = { clock: '2024-01-01T00:00:00.000Z', seed: 42 };
    const labels = { ...rendered.labels, plan: { ...plan, determinism: frozen } };
    expect(decodeLabels(encodeLabels(labels)).plan.determinism).toEqual(frozen);
    for (const wrong of [{}, { ...frozen, seed: -1 }, { ...frozen, more: 1 }, null, 'frozen']) {
      const other = { ...rendered.labels, plan: { ...plan, determinism: wrong as typeof frozen } };
      expect(() => decodeLabels(encodeLabels(other))).toThrow(
        expect.objectContaining({ code: 'SEAL_REFUSED' }),
      );
    }
  });

  test('have the closed list of modules where there is one, in one order', () => {
    const { plan } = rendered.labels;
    expect(plan).not.toHaveProperty('modules');
    const modules = { builtins: ['crypto', 'fs/promises'], packages: ['@a/b', 'lodash'] };
    const labels = { ...rendered.labels, plan: { ...plan, modules } };
    expect(decodeLabels(encodeLabels(labels)).plan.modules).toEqual(modules);
    const wrongs = [
      {},
      null,
      { ...modules, more: [] },
      { ...modules, builtins: 'fs' },
      { ...modules, builtins: ['url', 'fs'] },
      { ...modules, builtins: ['fs', 'fs'] },
      { ...modules, builtins: ['../fs'] },
      { ...modules, packages: ['../x'] },
      { ...modules, packages: [1] },
    ];
    for (const wrong of wrongs) {
      const other = { ...rendered.labels, plan: { ...plan, modules: wrong as typeof modules } };
      expect(() => decodeLabels(encodeLabels(other))).toThrow(
        expect.objectContaining({ code: 'SEAL_REFUSED' }),
      );
    }
  });

  const plan = JSON.parse(encodeLabels(rendered.labels)[LABELS.plan] ?? '') as Record<string, object>;
  test.each([
    ['no format', { [LABELS.format]: '' }],
    ['another format', { [LABELS.format]: '2' }],
    ['a format written otherwise', { [LABELS.format]: ' 1.0' }],
    ['a version that is none', { [LABELS.version]: '1.0.0\u001b[2J' }],
    ['no name', { [LABELS.name]: '' }],
    ['a path for a name', { [LABELS.name]: '../x' }],
    ['no base', { [LABELS.baseDigest]: 'sha256:abc' }],
    ['no plan', { [LABELS.plan]: '' }],
    [
      'a limit of 0',
      {
        [LABELS.plan]: JSON.stringify({
          ...plan,
          resources: { ...plan['resources'], memoryBytes: 0 },
        }),
      },
    ],
    ['a limit left out', { [LABELS.plan]: JSON.stringify({ ...plan, resources: {} }) }],
    ['another network', { [LABELS.plan]: JSON.stringify({ ...plan, network: { mode: 'host' } }) }],
    ['an unknown right', { [LABELS.plan]: JSON.stringify({ ...plan, privileged: true }) }],
    ['__proto__', { [LABELS.plan]: `{"__proto__":{"x":1},${JSON.stringify(plan).slice(1)}` }],
    ['text', { [LABELS.plan]: 'x' }],
  ])('with %s are refused', (_name, change) => {
    expect(() => decodeLabels({ ...encodeLabels(rendered.labels), ...change })).toThrow(
      expect.objectContaining({ code: 'SEAL_REFUSED' }),
    );
  });
});

describe('what was built', () => {
  test('passes when it is what was asked for, in any order of Env', () => {
    checkBuiltImage(
      image({ Env: [...(rendered.expectedConfig.Env ?? [])].reverse() }),
      base,
      rendered.expectedConfig,
    );
  });

  test.each([
    ['another user', image({ User: '0:0' }), /User/],
    ['a volume', image({ Volumes: { '/x': {} } }), /Volumes/],
    ['another label', image({ Labels: {} }), /Labels/],
    ['an unknown field', image({}, { unknownConfigFields: ['Evil'] }), /Evil/],
    ['another base', image({}, { diffIds: [sha256('evil'), sha256('app')] }), /verified base/],
    ['no layer', image({}, { diffIds: base.diffIds }), /0 layers above/],
    [
      'a layer more',
      image({}, { diffIds: [...base.diffIds, sha256('app'), sha256('more')] }),
      /2 layers above the base instead of 1/,
    ],
    ['another platform', image({}, { platform: { os: 'linux', architecture: 'arm64' } }), /arm64/],
  ])('is refused with %s', (_name, facts, words) => {
    expect(() => checkBuiltImage(facts, base, rendered.expectedConfig)).toThrow(
      expect.objectContaining({ code: 'SEAL_REFUSED', message: expect.stringMatching(words) }),
    );
  });

  test('D16, S06: a base with odd folders or setuid files is refused; the policy can allow the latter', () => {
    const clean = { setuidFiles: [], capabilityFiles: [], worldWritableFolders: [], notPlainFolders: [] };
    checkRootfs(base, clean);
    const refused = expect.objectContaining({ code: 'BASE_ROOTFS_REFUSED' });
    expect(() => checkRootfs(base, { ...clean, notPlainFolders: ['/dev'] })).toThrow(refused);
    expect(() => checkRootfs(base, { ...clean, worldWritableFolders: ['/var'] })).toThrow(refused);
    expect(() => checkRootfs(base, { ...clean, setuidFiles: ['/bin/su'] })).toThrow(refused);
    expect(() => checkRootfs(base, { ...clean, capabilityFiles: ['/bin/ping'] })).toThrow(refused);
    const inert = { ...clean, setuidFiles: ['/bin/su'], capabilityFiles: ['/bin/ping'] };
    checkRootfs(makeBase({ allowSetuidFiles: true }), inert);
  });
});

test('remembered findings count only when they are whole', () => {
  const findings = {
    setuidFiles: [],
    capabilityFiles: [],
    worldWritableFolders: ['/srv'],
    notPlainFolders: [],
  };
  expect(isFindings(findings)).toBe(true);
  const broken = [
    null,
    true,
    [],
    {},
    { ...findings, setuidFiles: undefined },
    // As an sjs remembered them that did not look for capabilities.
    { ...findings, capabilityFiles: undefined },
    { ...findings, notPlainFolders: [1] },
  ];
  for (const value of broken) expect(isFindings(value)).toBe(false);
});
