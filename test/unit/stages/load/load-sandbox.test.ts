import { execFileSync } from 'node:child_process';
import { chmod, link, mkdir, readFile, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { SjsError } from '../../../../src/errors.js';
import { sha256 } from '../../../../src/model/digest.js';
import { findSandboxes } from '../../../../src/stages/load/find-sandboxes.js';
import { loadSandbox } from '../../../../src/stages/load/load-sandbox.js';
import { cleanFolders, makeFolder } from '../../../support/world.js';

cleanFolders();

const TEXT =
  'apiVersion: sjs/v1\nkind: Sandbox\nmetadata: { name: job }\nspec: { language: node, source: ., entrypoint: a.js }\n';
const CANARY = 'b3BlbnNzaC1rZXktdjEAAAAABG5vbmU';

/** The error, and that it came within a second and has nothing of a secret. */
async function failure(path: string): Promise<SjsError> {
  const started = performance.now();
  const error = await loadSandbox(path).then(
    () => new Error('nothing was refused'),
    (caught: unknown) => caught,
  );
  expect(error).toBeInstanceOf(SjsError);
  expect(performance.now() - started).toBeLessThan(20_000);
  const { message, problems, next } = error as SjsError;
  expect(JSON.stringify([message, problems, next])).not.toContain(CANARY.slice(0, 8));
  return error as SjsError;
}

describe('a folder or a file', () => {
  test.each(['sandbox.yaml', 'sandbox.yml'])('%s is found in its folder', async (name) => {
    const folder = await makeFolder({ [name]: TEXT });
    const loaded = await loadSandbox(folder);
    expect(loaded).toMatchObject({ file: join(folder, name), directory: folder, digest: sha256(TEXT) });
    expect(await loadSandbox(join(folder, name))).toMatchObject({ digest: loaded.digest });
  });

  test('both names in one folder are refused', async () => {
    const folder = await makeFolder({ 'sandbox.yaml': TEXT, 'sandbox.yml': TEXT });
    expect(await failure(folder)).toMatchObject({ code: 'SANDBOX_INVALID', next: expect.any(String) });
  });

  test('what is not there says so', async () => {
    const folder = await makeFolder();
    for (const path of [folder, join(folder, 'nowhere'), join(folder, 'a/b/c.yaml')])
      expect(await failure(path)).toMatchObject({ code: 'FILE_NOT_FOUND', next: 'sjs init writes one' });
  });
});

describe('C09: a file that is something else', () => {
  test('a pipe does not block', async () => {
    const folder = await makeFolder();
    execFileSync('mkfifo', [join(folder, 'sandbox.yaml')]);
    expect(await failure(folder)).toMatchObject({ code: 'FILE_UNREADABLE' });
  });

  test.each(['/dev/zero', '/dev/null', '/dev/tty'])('%s is not read', async (device) => {
    expect(await failure(device)).toMatchObject({ code: 'FILE_UNREADABLE' });
  });

  test('a folder of that name', async () => {
    const folder = await makeFolder();
    await mkdir(join(folder, 'sandbox.yaml'));
    expect(await failure(folder)).toMatchObject({ code: 'FILE_UNREADABLE' });
  });

  test('a gibibyte is not taken in, nor a file without a size', async () => {
    const folder = await makeFolder({ 'sandbox.yaml': '' });
    await truncate(join(folder, 'sandbox.yaml'), 1024 ** 3);
    expect(await failure(folder)).toMatchObject({ code: 'FILE_TOO_LARGE' });
    expect(await failure('/proc/kallsyms')).toMatchObject({ code: expect.stringMatching(/^FILE_|^YAML_/) });
  });

  test.each(['inside', 'outside', 'dangling'])('a link is not followed (%s)', async (where) => {
    const folder = await makeFolder({ 'real.yaml': TEXT });
    const target = { inside: 'real.yaml', outside: '/etc/passwd', dangling: 'nowhere' }[where] ?? '';
    await symlink(target, join(folder, 'sandbox.yaml'));
    expect(await failure(folder)).toMatchObject({
      code: 'FILE_UNREADABLE',
      message: expect.stringContaining('symbolic link'),
    });
  });

  test('a private key or credentials, named by mistake, are not shown', async () => {
    const folder = await makeFolder({
      id_rsa: `-----BEGIN OPENSSH PRIVATE KEY-----\n${CANARY}\n-----END OPENSSH PRIVATE KEY-----\n`,
      'config.json': JSON.stringify({ auths: { 'r.example': { auth: CANARY } } }),
      credentials: `[default]\naws_secret_access_key = ${CANARY}\n`,
      '.netrc': `machine r.example login u password ${CANARY}\n`,
      env: `TOKEN=${CANARY}\n`,
      list: `- ${CANARY}\n`,
    });
    for (const name of ['id_rsa', 'config.json', 'credentials', '.netrc', 'env', 'list'])
      expect(['SANDBOX_INVALID', 'YAML_SYNTAX']).toContain((await failure(join(folder, name))).code);
  });

  test('a private key pasted as a value is named, not shown', async () => {
    const folder = await makeFolder({
      'sandbox.yaml': `${TEXT.replace('entrypoint: a.js', `entrypoint: a.js, user: "-----BEGIN PRIVATE KEY-----\\n${CANARY}"`)}`,
    });
    const error = await loadSandbox(folder).catch((caught: unknown) => caught as SjsError);
    expect((error as SjsError).message).toContain('-----BEGIN PRIVATE KEY-----');
    expect((error as SjsError).message).not.toContain(CANARY);
  });

  test('nothing of a file that cannot be read', async () => {
    const folder = await makeFolder({ 'sandbox.yaml': CANARY });
    await chmod(join(folder, 'sandbox.yaml'), 0o000);
    const code = process.getuid?.() === 0 ? 'SANDBOX_INVALID' : 'FILE_UNREADABLE';
    const error = await loadSandbox(folder).catch((caught: unknown) => caught);
    expect(error).toMatchObject({ code });
  });
});

test('C18: the digest is of the bytes that were parsed', async () => {
  const folder = await makeFolder({ 'sandbox.yaml': TEXT });
  const file = join(folder, 'sandbox.yaml');
  const first = await loadSandbox(folder);
  await writeFile(file, TEXT.replace('job', 'bob'));
  expect(first).toMatchObject({ digest: sha256(TEXT), sandbox: { name: 'job' } });
  expect((await loadSandbox(folder)).digest).toBe(sha256(await readFile(file)));
});

test('every sandbox.yaml of a tree is found; hidden folders, packages and links are passed over', async () => {
  const folder = await makeFolder({
    'b/sandbox.yaml': TEXT,
    'a/deep/sandbox.yml': TEXT,
    '.git/sandbox.yaml': TEXT,
    'node_modules/p/sandbox.yaml': TEXT,
    'c/other.yaml': TEXT,
  });
  await symlink(join(folder, 'b'), join(folder, 'linked'));
  await link(join(folder, 'b/sandbox.yaml'), join(folder, 'sandbox.yaml'));
  expect(await findSandboxes(folder)).toEqual(
    ['a/deep/sandbox.yml', 'b/sandbox.yaml', 'sandbox.yaml'].map((name) => join(folder, name)),
  );
  await expect(findSandboxes(join(folder, 'c'))).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
});
