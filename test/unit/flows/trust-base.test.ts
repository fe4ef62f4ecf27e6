import {
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { createPolicyFile } from '../../../src/adapters/store/policy-file.js';
import type { ImportedBase } from '../../../src/flows/import-base.js';
import { trustBase } from '../../../src/flows/trust-base.js';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sjs-trust-'));
});
afterEach(() => rm(folder, { recursive: true }));

const base = (name: string): ImportedBase =>
  ({
    repository: `registry.example.com/base/${name}`,
    version: '24.1.0',
    publicKey: '-----BEGIN PUBLIC KEY-----\nMFkw\n-----END PUBLIC KEY-----\n',
  }) as unknown as ImportedBase;

test('a policy that is a link stays one, and what it links to keeps its mode', async () => {
  const [link, file] = [join(folder, 'policy.yaml'), join(folder, 'dotfiles/policy.yaml')];
  await mkdir(join(folder, 'dotfiles'));
  await writeFile(file, 'apiVersion: sjs/v1\nkind: Policy\n', { mode: 0o644 });
  await symlink(file, link);
  await trustBase(base('node'), createPolicyFile(link));
  expect((await lstat(link)).isSymbolicLink()).toBe(true);
  expect(await readFile(file, 'utf8')).toContain('registry.example.com/base/node');
  expect((await stat(file)).mode & 0o777).toBe(0o644);
});

test('a lock that an older sjs left, a file of its own, does not stay for ever', async () => {
  const [file, lock] = [join(folder, 'policy.yaml'), join(folder, 'policy.yaml.lock')];
  await writeFile(lock, '');
  const longAgo = new Date(Date.now() - 3_600_000);
  await utimes(lock, longAgo, longAgo);
  await trustBase(base('node'), createPolicyFile(file));
  expect(await readFile(file, 'utf8')).toContain('base/node');
  expect(await readdir(folder)).toEqual(['policy.yaml']);
});

test('of many at once none is lost, and no lock is left', async () => {
  const file = join(folder, 'new/policy.yaml');
  const names = Array.from({ length: 8 }, (_, index) => `node-${index}`);
  await Promise.all(names.map((name) => trustBase(base(name), createPolicyFile(file))));
  const text = await readFile(file, 'utf8');
  for (const name of names) expect(text).toContain(`base/${name}"`);
  expect(await readdir(join(folder, 'new'))).toEqual(['policy.yaml']);
});
