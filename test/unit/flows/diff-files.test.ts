import { mkdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import pc from 'picocolors';
import { beforeEach, describe, expect, test } from '@jest/globals';
import { formatDiff, markdownDiff } from '../../../src/cli/change-view.js';
import { createSjs, type Sjs } from '../../../src/index.js';
import { sha256 } from '../../../src/model/digest.js';
import type { Lock } from '../../../src/model/lock.js';
import { cleanFolders, makeFolder } from '../../support/world.js';

cleanFolders();

const integrity = (text: string): string => `sha512-${text.repeat(86)}==`;

const lock: Lock = {
  lockVersion: 1,
  formatVersion: 1,
  base: {
    image: 'r.example.com/base/node',
    version: '24.2.0',
    digest: sha256('24.2.0'),
    manifests: { 'linux/amd64': sha256('amd64') },
    signer: sha256('key'),
  },
  template: { name: 'node', digest: sha256('template') },
  packages: {
    'node_modules/gone': `gone@1.0.0 ${integrity('A')}`,
    'node_modules/moved': `moved@1.0.0 ${integrity('A')}`,
    'node_modules/same': `same@1.0.0 ${integrity('A')}`,
  },
};

const yaml = (spec: string): string =>
  `apiVersion: sjs/v1\nkind: Sandbox\nmetadata: { name: job }\nspec:\n  language: node\n  base: { image: r.example.com/base/node, version: ">=24" }\n  source: .\n  entrypoint: index.js\n${spec}`;

let folder: string;
let sjs: Sjs;

beforeEach(async () => {
  folder = await makeFolder({});
  // Neither of them is there: who asks fails.
  const env = { HOME: folder, DOCKER_HOST: 'tcp://127.0.0.1:9', PATH: '/nonexistent' };
  sjs = createSjs({ env, home: join(folder, 'home') });
});

async function put(place: string, spec: string, locked: Lock | null = lock): Promise<string> {
  const file = join(folder, place, 'sandbox.yaml');
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, yaml(spec));
  if (locked) await writeFile(join(folder, place, 'sandbox.lock'), JSON.stringify(locked));
  return join(folder, place);
}

const moved: Lock = {
  ...lock,
  base: { ...lock.base, version: '24.3.0', digest: sha256('24.3.0'), signer: sha256('other key') },
  packages: {
    'node_modules/came': `came@1.0.0 ${integrity('A')}`,
    'node_modules/moved': `moved@2.0.0 ${integrity('B')}`,
    'node_modules/same': `same@1.0.0 ${integrity('C')}`,
  },
};

describe('two versions of the files, without engine, registry or cosign', () => {
  test('that say the same', async () => {
    const [a, b] = [await put('a', '  resources: { memory: 256Mi }\n'), await put('b', '')];
    const diff = await sjs.diff(a, b);
    expect(diff).toMatchObject({ isSame: true, isWidened: false, rights: [], packages: [] });
    expect(formatDiff(diff, pc.createColors(false))).toBe('they say the same');
  });

  test('what moved, came, went, widened and tightened, in words and colours', async () => {
    const before = await put('a', '  secrets: [OLD]\n  resources: { timeout: 30s }\n');
    const after = await put(
      'b',
      '  env: { MODE: fast }\n  permissions: { childProcess: true }\n  resources: { timeout: 10s, memory: 1Gi }\n',
      moved,
    );
    const diff = await sjs.diff(before, after);
    expect(diff).toMatchObject({ isSame: false, isWidened: true, files: [], image: [] });
    const lines = formatDiff(diff, pc.createColors(false)).split('\n');
    expect(lines.slice(2)).toEqual([
      'rights and limits',
      '  WIDENED   may start child processes',
      '  WIDENED   memory: 256Mi -> 1Gi',
      '  tightened is no longer given the secret OLD',
      '  tightened time: 30s -> 10s',
      'base',
      `            digest: ${sha256('24.2.0').slice(0, 19)} -> ${sha256('24.3.0').slice(0, 19)}`,
      `  LOOK      signer: the key ${sha256('key')} -> the key ${sha256('other key')}`,
      '            version: 24.2.0 -> 24.3.0',
      'packages',
      '            added came@1.0.0',
      '            removed gone@1.0.0',
      '            changed moved@1.0.0 -> moved@2.0.0',
      `  LOOK      OTHER CONTENT of the same version: same@1.0.0: ${integrity('A')} -> ${integrity('C')}`,
      'environment',
      '  MODE: none -> fast',
    ]);
    const colored = formatDiff(diff, pc.createColors(true)).split('\n');
    const { red, green, bold } = pc.createColors(true);
    expect(colored).toContain(`  ${red(bold('WIDENED   may start child processes'))}`);
    expect(colored).toContain(`  ${green('tightened time: 30s -> 10s')}`);
  });

  test('a lock that does not answer its file is said', async () => {
    const [a, b] = [await put('a', ''), await put('b', '', null)];
    const diff = await sjs.diff(a, b);
    expect(diff).toMatchObject({ from: { isLockOutdated: false }, to: { isLockOutdated: true } });
    expect(formatDiff(diff, pc.createColors(false))).toContain('sandbox.lock does not answer it');
    const old = { ...lock, base: { ...lock.base, version: '22.1.0' } };
    expect((await sjs.diff(a, await put('c', '', old))).to).toMatchObject({ isLockOutdated: true });
  });

  test('a hostile lock is an error, and no difference', async () => {
    const [a, b] = [await put('a', ''), await put('b', '')];
    await writeFile(join(b, 'sandbox.lock'), `{"__proto__":{},${JSON.stringify(lock).slice(1)}`);
    await expect(sjs.diff(a, b)).rejects.toMatchObject({ code: 'LOCK_INVALID' });
  });

  test('of two trees each sandbox stands beside that at its place; a new one is compared with one that asks for nothing', async () => {
    await put('before/kept', '');
    await put('before/gone', '');
    await put('after/kept', '');
    await put('after/new', '  network: { mode: isolated, egress: ["api.example.com:443"] }\n', null);
    await put('after/node_modules/x', '');
    const pairs = await sjs.pairSandboxes(join(folder, 'before'), join(folder, 'after'));
    expect(pairs.map(({ path, from, to }) => [path, from !== null, to !== null])).toEqual([
      ['gone', true, false],
      ['kept', true, true],
      ['new', false, true],
    ]);
    const diff = await sjs.diff(pairs[2]?.from ?? null, pairs[2]?.to ?? null);
    expect(diff.rights.filter(({ widened }) => widened).map(({ right }) => right)).toEqual([
      'network.mode',
      'network.egress',
    ]);
    expect(diff.base).toContainEqual({ what: 'image', from: null, to: 'r.example.com/base/node' });
    await rm(join(folder, 'after'), { recursive: true });
    expect(await sjs.pairSandboxes(join(folder, 'before'), join(folder, 'after'))).toHaveLength(2);
  });
});

test('as Markdown nothing of the author is a link, a mention, a heading or another list', async () => {
  const hostile = '@everyone [x](https://evil.example) `` <img src=x> | # h';
  const before = await put('a', '');
  const after = await put('b', `  secrets: [A, B]\n  env: { X: ${JSON.stringify(hostile)} }\n`);
  const text = markdownDiff('jobs/`a`', await sjs.diff(before, after));
  expect(text.split('\n')).toEqual([
    '### `` jobs/`a` ``: rights widened',
    '',
    'Rights and limits',
    '',
    '- **WIDENED** is given the secret `A`',
    '- **WIDENED** is given the secret `B`',
    '',
    'Environment',
    '',
    `- \`\`\`X: none -> ${hostile}\`\`\``,
  ]);
});
