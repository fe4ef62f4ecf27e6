import { join } from 'node:path';
import { childEnvironment, run } from './process.mjs';

/** Whatever a repository's configuration or attributes could make git execute, fetch or rewrite. */
const QUIET = [
  'core.hooksPath=/dev/null',
  'core.fsmonitor=false',
  'core.attributesFile=/dev/null',
  'core.pager=cat',
  'core.sshCommand=false',
  'credential.helper=',
  'diff.external=',
  'protocol.allow=never',
  'log.showSignature=false',
  'submodule.recurse=false',
];

const LARGEST = { 'sandbox.yaml': 256 * 1024, 'sandbox.yml': 256 * 1024, 'sandbox.lock': 1024 * 1024 };
const MOST_FILES = 2000;

/**
 * What is asked of git: which commits there are, what lies in their trees, and which lines differ. Objects are read,
 * never the work tree: no filter, hook, driver or program that the repository names has a part in it.
 */
export function openRepository(root, env) {
  const options = {
    cwd: root,
    env: {
      ...childEnvironment(env, root),
      GIT_CONFIG_NOSYSTEM: '1',
      GIT_CONFIG_GLOBAL: '/dev/null',
      GIT_ATTR_NOSYSTEM: '1',
      GIT_NO_LAZY_FETCH: '1',
      GIT_NO_REPLACE_OBJECTS: '1',
      GIT_OPTIONAL_LOCKS: '0',
      GIT_TERMINAL_PROMPT: '0',
      GIT_ASKPASS: 'false',
      LC_ALL: 'C',
    },
  };
  // A checkout in a container often belongs to another user; it is named here, and no other is.
  const settings = [...QUIET, `safe.directory=${root}`].flatMap((setting) => ['-c', setting]);
  const git = async (...args) => {
    const result = await run(
      'git',
      ['--literal-pathspecs', ...settings, `--git-dir=${join(root, '.git')}`, ...args],
      options,
    );
    if (result.code === 0) return result;
    throw new Error(`git ${args[0]}: ${result.stderr.trim().split('\n').at(-1) ?? `exit ${result.code}`}`);
  };

  return {
    /** The full id of a commit; null when it is not there. */
    async commit(name) {
      if (!/^[\w./-]{1,250}(?:\^[12])?$/.test(name) || name.startsWith('-')) return null;
      const found = await git(
        'rev-parse',
        '--verify',
        '--quiet',
        '--end-of-options',
        `${name}^{commit}`,
      ).catch(() => null);
      const id = found?.stdout.trim() ?? '';
      return /^[0-9a-f]{40}(?:[0-9a-f]{24})?$/.test(id) ? id : null;
    },

    /** Where a branch left another; null when what was fetched does not say. */
    async mergeBase(one, other) {
      const found = await git('merge-base', one, other).catch(() => null);
      return found?.stdout.trim() || null;
    },

    /** Every sandbox.yaml of a commit with its lock: plain files alone, and where sjs looks for them. */
    async sandboxes(commit, below = '') {
      const { stdout } = await git('ls-tree', '-r', '-l', '-z', '--full-tree', commit);
      const files = stdout.split('\0').flatMap((line) => {
        const [, mode, id, size, path] = /^(\d+) blob ([0-9a-f]+) +(\d+)\t(.*)$/s.exec(line) ?? [];
        if (path === undefined || !mode?.startsWith('100')) return [];
        const parts = path.split('/');
        const isPassedOver = parts
          .slice(0, -1)
          .some((part) => part.startsWith('.') || part === 'node_modules');
        const largest = LARGEST[parts.at(-1) ?? ''];
        const isBelow = below === '' || path.startsWith(`${below}/`);
        return largest === undefined || isPassedOver || !isBelow
          ? []
          : [{ path, id, size: Number(size), largest }];
      });
      const large = files.find(({ size, largest }) => size > largest);
      if (large) throw new Error(`${large.path} is larger than ${large.largest} bytes`);
      if (files.length > MOST_FILES) throw new Error(`there are more than ${MOST_FILES} sandboxes and locks`);
      return files;
    },

    /** The bytes of a file in a commit; null when there is no plain file of that name. */
    async readFile(commit, path, largest) {
      const { stdout } = await git('ls-tree', '-l', '-z', '--full-tree', commit, '--', path);
      const [, id, size] = /^100\d+ blob ([0-9a-f]+) +(\d+)\t/.exec(stdout) ?? [];
      return id === undefined || Number(size) > largest ? null : this.readBlob(id);
    },

    readBlob: async (id) => (await git('cat-file', 'blob', id)).bytes,

    /** The numbers of the lines that a commit added or changed, by file. */
    async changedLines(from, to, paths) {
      const lines = new Map();
      for (const path of paths) {
        const { stdout } = await git(
          ...[
            'diff',
            '--no-ext-diff',
            '--no-textconv',
            '--no-color',
            '--no-renames',
            '--unified=0',
            '--text',
          ],
          ...[from, to, '--', path],
        );
        const found = [...stdout.matchAll(/^@@ -\S+ \+(\d+)(?:,(\d+))? @@/gm)].flatMap(
          ([, start, count = '1']) =>
            Array.from({ length: Number(count) }, (_, index) => Number(start) + index),
        );
        lines.set(path, found);
      }
      return lines;
    },
  };
}
