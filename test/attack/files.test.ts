import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, expect } from '@jest/globals';
import {
  attack,
  both,
  CannotBeTried,
  sealSandbox,
  WITHOUT,
  type AttackSandbox,
  type Change,
} from '../support/attack.js';
import { cleanFolders, makeFolder } from '../support/world.js';

cleanFolders();
const execute = promisify(execFile);
const MIB = 1024 ** 2;
const TMP = 4 * MIB;

const HELPERS = `
const walk = (folder, visit) => {
  visit(folder, true);
  let entries = [];
  try { entries = fs.readdirSync(folder, { withFileTypes: true }) } catch {}
  for (const entry of entries) {
    const name = path.join(folder, entry.name);
    if (entry.isDirectory() && !['/proc', '/sys'].includes(name)) walk(name, visit);
    else if (entry.isFile()) visit(name, false);
  }
};
const hash = () => {
  const all = require('crypto').createHash('sha256');
  walk('/app', (name, isFolder) => all.update(name + ':' + fs.lstatSync(name).mode + (isFolder ? '' : read(name))));
  return all.digest('hex');
};`;
const PARTS: Record<keyof Look, string> = {
  writable: `(() => {
    const found = [];
    walk('/', (name, isFolder) => {
      const act = isFolder
        ? () => { fs.writeFileSync(name + '/sjs-attack', ''); fs.rmSync(name + '/sjs-attack') }
        : () => { fs.closeSync(fs.openSync(name, 'a')) };
      if (tries(act) === 'ok') found.push(isFolder ? path.join(name, '/') : name);
    });
    return found;
  })()`,
  mount: `read('/proc/self/mounts').split('\\n').find((line) => line.split(' ')[1] === '/tmp')`,
  executed: `(() => {
    fs.copyFileSync('/app/probe', '/tmp/probe');
    fs.chmodSync('/tmp/probe', 0o755);
    fs.copyFileSync('/app/addon.node', '/tmp/addon.node');
    const loaded = (file) => { try { process.dlopen({ exports: {} }, file) } catch (error) { return error.message } };
    const results = {
      program: tries(() => cp.execFileSync('/tmp/probe', ['ids'], { encoding: 'utf8' }).trim()),
      addon: loaded('/tmp/addon.node'),
      memory: probe('memfd'),
    };
    fs.rmSync('/tmp/probe');
    fs.rmSync('/tmp/addon.node');
    return results;
  })()`,
  filled: `(() => {
    let bytes = 0;
    const end = tries(() => { while (bytes < ${4 * TMP}) { fs.appendFileSync('/tmp/full', Buffer.alloc(65536)); bytes += 65536 } });
    fs.rmSync('/tmp/full');
    return { bytes, end };
  })()`,
  files: `(() => {
    let files = 0;
    fs.mkdirSync('/tmp/many');
    const end = tries(() => { for (; files < 6000; files++) fs.writeFileSync('/tmp/many/' + files, '') });
    fs.rmSync('/tmp/many', { recursive: true });
    return { files, end };
  })()`,
  tampered: `(() => {
    const before = hash();
    const acts = [
      () => fs.appendFileSync('/app/index.js', '//'),
      () => fs.chmodSync('/app/index.js', 0o777),
      () => fs.renameSync('/app/index.js', '/app/other.js'),
      () => fs.unlinkSync('/app/addon.node'),
    ].map(tries);
    return { acts, before, after: hash() };
  })()`,
  core: `(() => {
    const said = probe('core');
    const cores = fs.readdirSync('/tmp').filter((name) => name.startsWith('core'));
    cores.forEach((name) => fs.rmSync('/tmp/' + name));
    return { said, cores };
  })()`,
};
interface Look {
  writable: string[];
  mount: string;
  executed: Record<'program' | 'addon' | 'memory', string>;
  filled: { bytes: number; end: string };
  files: { files: number; end: string };
  tampered: { acts: string[]; before: string; after: string };
  core: { said: string; cores: string[] };
}
const look = (...parts: (keyof Look)[]): string =>
  `(() => { ${HELPERS}; return { ${parts.map((part) => `${part}: ${PARTS[part]}`).join(',')} } })()`;

let sandbox: AttackSandbox;
let seen: Look;
beforeAll(async () => {
  const folder = await makeFolder({ 'addon.c': 'int sjs_attack(void) { return 1; }\n' });
  const addon = join(folder, 'addon.node');
  await execute('gcc', ['-shared', '-fPIC', '-nostdlib', '-o', addon, join(folder, 'addon.c')]);
  sandbox = await sealSandbox('  filesystem: { tmp: 4Mi }\n', {}, { 'addon.node': addon });
  seen = await sandbox.ask<Look>(look(...(Object.keys(PARTS) as (keyof Look)[])));
}, 180_000);

/** /tmp mounted without one of its options. */
const withoutOption =
  (name: string): Change =>
  ({ HostConfig }) => {
    const options = HostConfig.Tmpfs?.['/tmp']?.split(',').filter((option) => option.split('=')[0] !== name);
    // What is not said otherwise, the engine adds by itself.
    HostConfig.Tmpfs = { '/tmp': [...(options ?? []), ...(name === 'noexec' ? ['exec'] : [])].join(',') };
  };
const without = async (change: Change, part: keyof Look): Promise<Look> =>
  sandbox.askWithout(change, look(part));

attack(
  'F01',
  () => {
    expect(seen.writable).toEqual(['/tmp/']);
    return 'of all folders and files, /tmp alone takes it';
  },
  async () => {
    const rootAlone = (await without(WITHOUT.user, 'writable')).writable;
    const writableAlone = (await without(WITHOUT.readOnlyRoot, 'writable')).writable;
    for (const some of [rootAlone, writableAlone])
      expect(some.filter((name) => /^\/(app|etc|usr)/.test(name))).toEqual([]);
    const { writable } = await without(both(WITHOUT.user, WITHOUT.readOnlyRoot), 'writable');
    expect(writable).toEqual(expect.arrayContaining(['/', '/app/', '/app/index.js', '/etc/passwd']));
    return `${writable.length} folders and files, /app and /etc/passwd among them`;
  },
);

attack(
  'F02',
  () => {
    for (const option of ['rw', 'nosuid', 'nodev', 'noexec', 'size=4096k', 'nr_inodes=4096']) {
      expect(seen.mount.split(' ')[3]?.split(',')).toContain(option);
    }
    expect(seen.executed.program).toBe('EACCES');
    // Not a hole: it is the author's code either way. The page says so.
    expect(seen.executed.memory).toBe('65532 65532 65532 65532');
    expect(seen.executed.addon).toMatch(/failed to map segment/);
    return `program ${seen.executed.program} (but from a memfd it runs), addon: ${seen.executed.addon.replace('/tmp/addon.node: ', '')}`;
  },
  async () => {
    const { executed } = await without(withoutOption('noexec'), 'executed');
    expect(executed.program).toBe('65532 65532 65532 65532');
    expect(executed.addon).not.toMatch(/failed to map segment/);
    return 'the program runs; the addon is loaded (and found to register nothing)';
  },
);

attack(
  'F03',
  () => {
    expect(seen.filled.end).toBe('ENOSPC');
    expect(seen.filled.bytes).toBeLessThanOrEqual(TMP);
    expect(seen.filled.bytes).toBeGreaterThan(TMP - MIB);
    return `ENOSPC after ${seen.filled.bytes} bytes of ${TMP}; the program goes on`;
  },
  async () => {
    const { filled } = await without(withoutOption('size'), 'filled');
    expect(filled).toEqual({ bytes: 4 * TMP, end: 'ok' });
    return `${filled.bytes} bytes, and no end`;
  },
);

attack(
  'F04',
  () => {
    expect(seen.files.end).toBe('ENOSPC');
    expect(seen.files.files).toBeLessThan(4096);
    return `ENOSPC after ${seen.files.files} files`;
  },
  async () => {
    const { files } = await without(withoutOption('nr_inodes'), 'files');
    expect(files).toEqual({ files: 6000, end: 'ok' });
    return `${files.files} files, and no end`;
  },
);

attack(
  'F06',
  () => {
    expect(seen.tampered.acts).not.toContain('ok');
    expect(seen.tampered.after).toBe(seen.tampered.before);
    return `${[...new Set(seen.tampered.acts)].join(', ')}; contents and modes unchanged`;
  },
  async () => {
    for (const alone of [WITHOUT.user, WITHOUT.readOnlyRoot]) {
      expect((await without(alone, 'tampered')).tampered.acts).not.toContain('ok');
    }
    const { tampered } = await without(both(WITHOUT.user, WITHOUT.readOnlyRoot), 'tampered');
    expect(tampered.acts).toEqual(['ok', 'ok', 'ok', 'ok']);
    expect(tampered.after).not.toBe(tampered.before);
    return 'all four succeed, in the container’s own layer';
  },
);

let withVolume: string;
attack(
  'F07',
  async () => {
    const open = `require('fs').mkdirSync('/data'); require('fs').chmodSync('/data', 0o777)`;
    withVolume = await sandbox.derive(open, 'VOLUME /data');
    await execute('docker', ['tag', withVolume, sandbox.tag]);
    try {
      const { code, stdout } = await sandbox.run('0', '--json');
      const { error } = JSON.parse(stdout) as { error: { code: string } };
      expect([code, error.code]).toEqual([126, 'SEAL_MISMATCH']);
      return `${error.code}, exit ${code}; nothing was started`;
    } finally {
      await execute('docker', ['tag', sandbox.imageId, sandbox.tag]);
    }
  },
  async () => {
    const written = await sandbox.askWithout<string>(
      (options) => (options.Image = withVolume),
      `tries(() => { fs.writeFileSync('/data/x', Buffer.alloc(${16 * MIB})) })`,
    );
    expect(written).toBe('ok');
    return '16 MiB on the host’s disk, despite the read-only root';
  },
);

attack(
  'F08',
  () => {
    expect(seen.core).toEqual({ said: 'aborted no-core', cores: [] });
    return 'aborted, and the kernel wrote no core';
  },
  async () => {
    const pattern = readFileSync('/proc/sys/kernel/core_pattern', 'utf8').trim();
    const { core } = await without(({ HostConfig }) => {
      const others = HostConfig.Ulimits?.filter(({ Name }) => Name !== 'core') ?? [];
      HostConfig.Ulimits = [...others, { Name: 'core', Soft: -1, Hard: -1 }];
    }, 'core');
    if (core.said === 'aborted no-core') throw new CannotBeTried(`the host’s core_pattern is ${pattern}`);
    expect(core.said).toBe('aborted core');
    return `the kernel wrote one (core_pattern ${pattern}${core.cores.length > 0 ? `: /tmp/${core.cores.join()}` : ''})`;
  },
);
