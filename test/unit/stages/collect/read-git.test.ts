import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, mkdir, rename, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { readGit } from '../../../../src/stages/collect/read-git.js';
import { cleanFolders, makeFolder } from '../../../support/world.js';

cleanFolders();

const COMMIT = '0123456789abcdef0123456789abcdef01234567';
const OTHER = 'f'.repeat(64);
const CONFIG = `[core]
\tbare = false
[remote "upstream"]
\turl = https://git.example.com/other.git
[remote "origin"]
\tfetch = +refs/heads/*:refs/remotes/origin/*
\turl = https://me:secret@git.example.com:8443/team/job.git?token=1
`;
const make = (files: Readonly<Record<string, string>> = {}): Promise<string> =>
  makeFolder({
    '.git/HEAD': 'ref: refs/heads/main\n',
    '.git/refs/heads/main': `${COMMIT}\n`,
    '.git/config': CONFIG,
    'sub/sandbox.yaml': '',
    ...files,
  });

test('the commit, the branch and the remote, without what is secret in its address', async () => {
  expect(await readGit(join(await make(), 'sub'))).toEqual({
    commit: COMMIT,
    ref: 'refs/heads/main',
    remote: 'https://git.example.com:8443/team/job.git',
  });
});

test('agrees with git, before and after it packs its references', async () => {
  const folder = await makeFolder({ a: '1' });
  const git = (...args: string[]): string =>
    execFileSync('git', ['-c', 'user.name=a', '-c', 'user.email=a@example.com', ...args], {
      cwd: folder,
      encoding: 'utf8',
    }).trim();
  git('init', '-q', '-b', 'feature/one');
  expect(await readGit(folder)).toBeNull();
  git('add', '.');
  git('commit', '-q', '-m', 'one');
  git('remote', 'add', 'origin', 'git@git.example.com:team/job.git');
  const expected = {
    commit: git('rev-parse', 'HEAD'),
    ref: 'refs/heads/feature/one',
    remote: 'ssh://git.example.com/team/job.git',
  };
  expect(await readGit(folder)).toEqual(expected);
  git('pack-refs', '--all');
  expect(await readGit(folder)).toEqual(expected);
  git('checkout', '-q', '--detach');
  expect(await readGit(folder)).toEqual({ ...expected, ref: null });
});

test.each([
  ['a path of this machine', '/srv/git/job.git', null],
  ['a file', 'file:///srv/git/job.git', null],
  ['a program', 'ext::sh -c id', null],
  ['ssh', 'ssh://me@git.example.com/team/job.git', 'ssh://git.example.com/team/job.git'],
])('a remote that is %s', async (_what, url, remote) => {
  const folder = await make({ '.git/config': `[remote "origin"]\n\turl = ${url}\n` });
  expect(await readGit(folder)).toMatchObject({ commit: COMMIT, remote });
});

test('a commit of SHA-256', async () => {
  expect(await readGit(await make({ '.git/HEAD': `${OTHER}\n` }))).toMatchObject({
    commit: OTHER,
    ref: null,
  });
});

describe('nothing is run, and nothing is read that lies elsewhere', () => {
  test('whatever programs its configuration names', async () => {
    const folder = await make();
    const witness = join(folder, 'witness');
    const run = `touch ${witness}`;
    await writeFile(
      join(folder, '.git/config'),
      `[core]\n\tfsmonitor = ${run}\n\tsshCommand = ${run}\n\tpager = ${run}\n[include]\n\tpath = /etc/passwd\n${CONFIG}`,
    );
    await mkdir(join(folder, '.git/hooks'));
    await writeFile(join(folder, '.git/hooks/post-checkout'), `#!/bin/sh\n${run}\n`);
    await chmod(join(folder, '.git/hooks/post-checkout'), 0o755);
    expect(await readGit(folder)).toMatchObject({ commit: COMMIT });
    expect(existsSync(witness)).toBe(false);
  });

  test.each<[string, (folder: string, elsewhere: string) => Promise<unknown>]>([
    ['.git is a link', (folder, elsewhere) => symlink(join(elsewhere, '.git'), join(folder, '.git'))],
    [
      '.git names another place',
      (folder, elsewhere) => writeFile(join(folder, '.git'), `gitdir: ${elsewhere}/.git\n`),
    ],
    [
      'the branch is a link',
      async (folder, elsewhere) => {
        await rename(join(elsewhere, '.git'), join(folder, '.git'));
        await writeFile(join(elsewhere, 'secret'), OTHER);
        await rm(join(folder, '.git/refs/heads/main'));
        await symlink(join(elsewhere, 'secret'), join(folder, '.git/refs/heads/main'));
      },
    ],
    [
      'the folder of the branches is a link',
      async (folder, elsewhere) => {
        await rename(join(elsewhere, '.git'), join(folder, '.git'));
        await rename(join(folder, '.git/refs'), join(elsewhere, 'refs'));
        await symlink(join(elsewhere, 'refs'), join(folder, '.git/refs'));
      },
    ],
    [
      'HEAD leads out of the repository',
      async (folder, elsewhere) => {
        await rename(join(elsewhere, '.git'), join(folder, '.git'));
        await writeFile(join(folder, 'x'), OTHER);
        await writeFile(join(folder, '.git/HEAD'), 'ref: refs/../../x\n');
      },
    ],
    [
      'HEAD is too large',
      async (folder, elsewhere) => {
        await rename(join(elsewhere, '.git'), join(folder, '.git'));
        await truncate(join(folder, '.git/HEAD'), 32 * 1024 ** 2);
      },
    ],
    [
      'HEAD is a pipe',
      async (folder, elsewhere) => {
        await rename(join(elsewhere, '.git'), join(folder, '.git'));
        await rm(join(folder, '.git/HEAD'));
        execFileSync('mkfifo', [join(folder, '.git/HEAD')]);
      },
    ],
    [
      'the branch is no commit',
      async (folder, elsewhere) => {
        await rename(join(elsewhere, '.git'), join(folder, '.git'));
        await writeFile(join(folder, '.git/refs/heads/main'), 'ref: refs/heads/other\n');
      },
    ],
  ])('where %s, there is no commit', async (_what, change) => {
    const [folder, elsewhere] = [await makeFolder(), await make()];
    await change(folder, elsewhere);
    expect(await readGit(folder)).toBeNull();
  });
});

test('a folder in no repository', async () => {
  expect(await readGit(await makeFolder())).toBeNull();
  expect(await readGit('/no/such/folder')).toBeNull();
});
