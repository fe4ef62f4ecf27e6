import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { beforeAll, expect } from '@jest/globals';
import {
  attack,
  both,
  CannotBeTried,
  PRELUDE,
  probed,
  sealSandbox,
  untilPrinted,
  WITHOUT,
  type AttackSandbox,
  type Change,
} from '../support/attack.js';
import { cleanFolders } from '../support/world.js';

cleanFolders();

const HELPERS = `const peek = (file) => tries(() => fs.statSync(file).isDirectory()
  ? (fs.readdirSync(file).length > 0 ? 'readable' : 'empty')
  : (fs.readSync(fs.openSync(file), Buffer.alloc(1)) > 0 ? 'readable' : 'empty'));
const openToWrite = (file) => tries(() => fs.closeSync(fs.openSync(file, fs.constants.O_WRONLY)));
// By lstat: a folder's own listing calls a mounted socket a file.
const sockets = (folder) => fs.readdirSync(folder).flatMap((entry) => {
  const name = path.join(folder, entry);
  try {
    const what = fs.lstatSync(name);
    if (what.isSocket()) return [name];
    return what.isDirectory() && !['/proc', '/sys'].includes(name) ? sockets(name) : [];
  } catch { return [] }
});
const hash = (file) => require('crypto').createHash('sha256').update(fs.readFileSync(file)).digest('hex');
const groups = () => fs.readdirSync('/sys/fs/cgroup', { withFileTypes: true })
  .filter((entry) => entry.isDirectory()).map((entry) => '/sys/fs/cgroup/' + entry.name).concat('/sys/fs/cgroup');`;
const HIDDEN = [
  ...[
    '/proc/kcore',
    '/proc/keys',
    '/proc/timer_list',
    '/proc/latency_stats',
    '/proc/sched_debug',
    '/proc/acpi',
  ],
  ...['/proc/asound', '/proc/scsi', '/sys/firmware', '/sys/devices/virtual/powercap'],
];
const KERNEL = ['/proc/sysrq-trigger', '/proc/sys/kernel/core_pattern', '/proc/sys/kernel/hostname'];

/** What a run can see of itself: most cases look at a part of it. */
const PARTS: Record<keyof Look, string> = {
  ids: `[process.getuid(), process.getgid(), process.getgroups()]`,
  status: `read('/proc/self/status')`,
  setuid: `{ mode: fs.statSync('/app/probe').mode & 0o7777, ids: probe('ids') }`,
  calls: `probe()`,
  hashes: `['/usr/local/bin/node', '/app/index.js', '/app/probe', '/etc/passwd'].map((file) => tries(() => hash(file)))`,
  programs: `{
    self: openToWrite('/proc/self/exe'),
    init: openToWrite('/proc/1/exe'),
    replaced: tries(() => {
      fs.copyFileSync('/app/index.js', '/app/new');
      fs.renameSync('/app/new', '/app/index.js');
    }),
  }`,
  hidden: `Object.fromEntries(${JSON.stringify(HIDDEN)}.map((file) => [file, peek(file)]))`,
  kernel: `${JSON.stringify(KERNEL)}.map(openToWrite)`,
  devices: `{ names: fs.readdirSync('/dev').sort(), null: fs.statSync('/dev/null').rdev }`,
  label: `tries(() => read('/proc/self/attr/current').replace(/\\0/g, '').trim())`,
  sockets: `sockets('/')`,
  named: `read('/proc/net/unix').split('\\n').slice(1).map((line) => line.split(' ')[7]).filter(Boolean)`,
  cgroups: `{
    folders: groups().map((group) => tries(() => { fs.mkdirSync(group + '/x'); fs.rmdirSync(group + '/x') })),
    limits: groups()
      .flatMap((group) => ['/memory.limit_in_bytes', '/memory.max', '/pids.max'].map((name) => group + name))
      .filter((file) => fs.existsSync(file))
      .map((file) => tries(() => fs.writeFileSync(file, file.endsWith('limit_in_bytes') ? '-1' : 'max'))),
    agents: groups().map((group) => group + '/release_agent').filter((file) => fs.existsSync(file)),
    own: read('/proc/self/cgroup').trim().split('\\n').map((line) => line.split(':')[2]),
  }`,
  pids: `fs.readdirSync('/proc').filter((name) => /^\\d+$/.test(name)).length`,
  init: `read('/proc/1/comm').trim()`,
  ipc: `{ shm: fs.existsSync('/dev/shm'), segments: read('/proc/sysvipc/shm').trim().split('\\n').length - 1,
    queues: tries(() => fs.writeFileSync('/dev/mqueue/x', '')) }`,
  host: `[os.hostname(), read('/etc/hostname').trim(), read('/etc/hosts')]`,
  resolver: `read('/etc/resolv.conf').match(/^(nameserver|search) .*$/gm) ?? []`,
};
const EVERYTHING = Object.keys(PARTS) as (keyof Look)[];
const look = (...parts: (keyof Look)[]): string =>
  `(() => { ${HELPERS}; return { ${parts.map((part) => `${part}: ${PARTS[part]}`).join(',')} } })()`;

interface Look {
  ids: [number, number, number[]];
  status: string;
  setuid: { mode: number; ids: string };
  calls: string;
  hashes: string[];
  programs: Record<'self' | 'init' | 'replaced', string>;
  hidden: Record<string, string>;
  kernel: string[];
  devices: { names: string[]; null: number };
  label: string;
  sockets: string[];
  named: string[];
  cgroups: Record<'folders' | 'limits' | 'agents' | 'own', string[]>;
  pids: number;
  init: string;
  ipc: { shm: boolean; segments: number; queues: string };
  host: string[];
  resolver: string[];
}

let sandbox: AttackSandbox;
let seen: Look;
/** The same, without seccomp. */
let unfiltered: Pick<Look, 'status' | 'calls'>;
/** The same, as root with a writable root file system. */
let asRoot: Pick<Look, (typeof AS_ROOT)[number]>;
const AS_ROOT = ['ids', 'programs', 'kernel', 'cgroups'] as const;

beforeAll(async () => {
  sandbox = await sealSandbox();
  seen = await sandbox.ask<Look>(look(...EVERYTHING));
  unfiltered = await sandbox.askWithout(WITHOUT.seccomp, look('status', 'calls'));
  asRoot = await sandbox.askWithout(both(WITHOUT.user, WITHOUT.readOnlyRoot), look(...AS_ROOT));
}, 180_000);

const field = (status: string, name: string): string =>
  new RegExp(`^${name}:\\s*(.*)$`, 'm').exec(status)?.[1] ?? '';

/** The answers to calls whose name begins with one of these. */
function answers(calls: string, names: readonly string[]): Record<string, string> {
  const lines = calls.split('\n').map((line) => line.split(' ') as [string, string]);
  const wanted = lines.filter(([name]) => names.some((one) => name === one || name.startsWith(`${one}:`)));
  expect(wanted.length).toBeGreaterThanOrEqual(names.length);
  return Object.fromEntries(wanted);
}

// What only that architecture has: old calls, and two more ABIs.
const IS_X86 = process.arch === 'x64';

/** The calls are refused by the profile, and without it some succeed and others get as far as the kernel. */
function refusedCalls(
  id: 'K04' | 'K06' | 'K07' | 'K08' | 'K18',
  names: readonly string[],
  refusals: string[],
) {
  attack(
    id,
    () => {
      if (id === 'K08' && !IS_X86) throw new CannotBeTried('its processor has no such ABI in the probe');
      const got = answers(seen.calls, names);
      expect(Object.entries(got).filter(([, answer]) => !refusals.includes(answer))).toEqual([]);
      return `${Object.keys(got).length} calls: ${[...new Set(Object.values(got))].join(', ')}`;
    },
    () => {
      const got = Object.entries(answers(unfiltered.calls, names));
      const succeeded = got.filter(([, answer]) => answer === 'OK').map(([name]) => name);
      expect(succeeded).not.toEqual([]);
      return `these succeed: ${succeeded.join(', ')}`;
    },
  );
}

attack(
  'K01',
  () => {
    expect(seen.ids).toEqual([65532, 65532, [65532]]);
    expect(readFileSync('/etc/passwd', 'utf8')).not.toMatch(/^[^:]*:[^:]*:65532:/m);
    return `uid ${seen.ids[0]}, gid ${seen.ids[1]}, groups ${seen.ids[2].join()}; no such user on the host`;
  },
  () => {
    expect(asRoot.ids.slice(0, 2)).toEqual([0, 0]);
    return 'uid 0';
  },
);

attack(
  'K02',
  () => {
    for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb']) {
      expect(field(seen.status, set)).toBe('0000000000000000');
    }
    expect([field(seen.status, 'NoNewPrivs'), field(seen.status, 'Seccomp')]).toEqual(['1', '2']);
    return 'all five sets empty, NoNewPrivs 1, Seccomp 2';
  },
  async () => {
    const status = `read('/proc/self/status')`;
    const capable = await sandbox.askWithout<string>(({ HostConfig }) => (HostConfig.CapDrop = []), status);
    const bounding = field(capable, 'CapBnd');
    const privileges = field(await sandbox.askWithout(WITHOUT.noNewPrivileges, status), 'NoNewPrivs');
    expect(bounding).not.toBe('0000000000000000');
    expect([field(unfiltered.status, 'Seccomp'), privileges]).toEqual(['0', '0']);
    return `CapBnd ${bounding}; NoNewPrivs 0; Seccomp 0`;
  },
);

attack(
  'K03',
  () => {
    expect(seen.setuid).toEqual({ mode: 0o755, ids: '65532 65532 65532 65532' });
    return 'packed with mode 4755, it lies there with 0755; euid unchanged';
  },
  async () => {
    const image = await sandbox.derive(`require('fs').chmodSync('/app/probe', 0o4755)`);
    const inImage: Change = (options) => (options.Image = image);
    const held = await sandbox.askWithout(inImage, `probe('ids')`);
    expect(held).toBe('65532 65532 65532 65532');
    const ids = await sandbox.askWithout(both(inImage, WITHOUT.noNewPrivileges), `probe('ids')`);
    expect(ids).toBe('65532 0 65532 65532');
    return 'in an image where it is 4755, no-new-privileges alone still holds; without that, euid 0';
  },
);

refusedCalls(
  'K04',
  [
    ...['mount', 'umount2', 'pivot_root', 'chroot', 'setns', 'unshare', 'open_tree', 'fsopen', 'move_mount'],
    ...['mount_setattr', 'clone3', 'clone:NEWUSER', 'clone:NEWNS', 'clone:NEWNET', 'clone:NEWPID'],
  ],
  ['EPERM', 'ENOSYS'],
);
refusedCalls(
  'K06',
  [
    ...['ptrace', 'process_vm_readv', 'process_vm_writev', 'name_to_handle_at', 'memfd_secret', 'vmsplice'],
    ...['statmount', 'listmount', 'mknodat', 'seccomp:new_listener'],
    ...(IS_X86 ? ['mknod', 'modify_ldt'] : []),
    ...['personality:0x8', 'personality:0x20000', 'personality:0x40000', 'personality:0x400000'],
  ],
  ['EPERM', 'ENOSYS'],
);
refusedCalls(
  'K07',
  [
    'ALG',
    'ALG:high-bits',
    'VSOCK',
    'PACKET',
    'BLUETOOTH',
    'XDP',
    'NETLINK:1',
    'NETLINK:NETFILTER',
    'NETLINK:XFRM',
  ]
    .map((family) => `socket:AF_${family}`)
    .concat('socketpair:AF_INET'),
  ['EPERM'],
);
refusedCalls(
  'K08',
  ['int80:getpid', 'int80:socketcall', 'int80:ptrace', 'x32:getpid', 'x32:ptrace'],
  ['SIGSYS'],
);
refusedCalls(
  'K18',
  ['settimeofday', 'clock_settime', 'clock_adjtime', 'adjtimex', 'sethostname', 'setdomainname'],
  ['EPERM'],
);

attack(
  'K09',
  async () => {
    const tools = answers(seen.calls, ['socket:AF_ALG', 'vmsplice']);
    expect(new Set(Object.values(tools))).toEqual(new Set(['EPERM']));
    expect((await sandbox.ask<Look>(look('hashes'))).hashes).toEqual(seen.hashes);
    return 'both calls EPERM; the next run reads the same bytes';
  },
  () => {
    const tools = answers(unfiltered.calls, ['socket:AF_ALG', 'vmsplice']);
    expect(tools['vmsplice']).toBe('OK');
    expect(tools['socket:AF_ALG']).not.toBe('EPERM');
    return `vmsplice succeeds and AF_ALG reaches the kernel (${tools['socket:AF_ALG']}); the write itself is not tried`;
  },
);

attack(
  'K11',
  () => {
    expect(seen.programs.replaced).toBe('EROFS');
    expect([seen.programs.self, seen.programs.init]).not.toContain('ok');
    return `opening itself ${seen.programs.self}, init ${seen.programs.init}; replacing a file ${seen.programs.replaced}`;
  },
  async () => {
    const replaced = async (change: Change): Promise<string> =>
      (await sandbox.askWithout<Look>(change, look('programs'))).programs.replaced;
    expect(await replaced(WITHOUT.user)).toBe('EROFS');
    expect(await replaced(WITHOUT.readOnlyRoot)).toBe('EACCES');
    expect(asRoot.programs.replaced).toBe('ok');
    return 'the file is replaced in the container’s own layer (a read-only root or the user alone would still hold)';
  },
);

attack(
  'K12',
  () => {
    expect(Object.entries(seen.hidden).filter(([, answer]) => answer === 'readable')).toEqual([]);
    expect(seen.kernel).not.toContain('ok');
    expect(seen.devices.null).toBe(0x103);
    expect(seen.devices.names.join()).toBe(
      'fd,full,mqueue,null,ptmx,pts,random,stderr,stdin,stdout,tty,urandom,zero',
    );
    return `nothing readable, writing ${[...new Set(seen.kernel)].join()}; no console, no device but the harmless ones`;
  },
  async () => {
    const unmasked = await sandbox.askWithout<Look>(({ HostConfig }) => {
      Object.assign(HostConfig, { MaskedPaths: [] });
    }, look('hidden'));
    const readable = Object.keys(unmasked.hidden).filter((file) => unmasked.hidden[file] === 'readable');
    expect(readable).not.toEqual([]);
    const writable = both(WITHOUT.user, ({ HostConfig }) => {
      Object.assign(HostConfig, { ReadonlyPaths: [] });
    });
    // Some kernels have no sysrq-trigger.
    const there = (kernel: string[]) => new Set(kernel.filter((answer) => answer !== 'ENOENT'));
    expect(there(asRoot.kernel)).toEqual(new Set(['EROFS']));
    expect(there((await sandbox.askWithout<Look>(writable, look('kernel'))).kernel)).toEqual(new Set(['ok']));
    const console = await sandbox.askWithout<string[]>(
      (options) => (options.Tty = true),
      `fs.readdirSync('/dev')`,
    );
    expect(console).toContain('console');
    return `readable: ${readable.join(', ')}; root opens what is under /proc/sys for writing; a console`;
  },
);

attack(
  'K13',
  () => {
    const options = execFileSync('docker', ['info', '--format', '{{json .SecurityOptions}}'], {
      encoding: 'utf8',
    });
    if (options.includes('name=apparmor')) expect(seen.label).toBe('docker-default (enforce)');
    else if (options.includes('name=selinux')) expect(seen.label).toContain('container_t');
    else return `this host has neither; the label reads ${seen.label}`;
    return seen.label;
  },
  async () => {
    const label = `read('/proc/self/attr/current')`;
    if (!/docker-default|container_t/.test(seen.label)) throw new CannotBeTried('no AppArmor, no SELinux');
    const loose = await sandbox.askWithout<string>(({ HostConfig }) => {
      HostConfig.SecurityOpt.push('apparmor=unconfined', 'label=disable');
    }, label);
    expect(loose).not.toBe(seen.label);
    return loose;
  },
);

attack(
  'K14',
  () => {
    expect([seen.sockets, seen.named]).toEqual([[], []]);
    return 'no socket in any folder, none in /proc/net/unix that has a name';
  },
  async () => {
    const bound = await sandbox.askWithout<Look>(({ HostConfig }) => {
      HostConfig.Binds = ['/var/run/docker.sock:/run/docker.sock:ro'];
    }, look('sockets'));
    expect(bound.sockets).toEqual(['/run/docker.sock']);
    const ofHost = await sandbox.askWithout<Look>(({ HostConfig }) => {
      HostConfig.NetworkMode = 'host';
    }, look('named'));
    expect(ofHost.named).not.toEqual([]);
    return `finds ${bound.sockets.join()}; and ${ofHost.named.length} sockets of the host, by name`;
  },
);

attack(
  'K16',
  () => {
    expect(seen.cgroups.folders).not.toContain('ok');
    expect(seen.cgroups.limits.length).toBeGreaterThan(0);
    expect(seen.cgroups.limits).not.toContain('ok');
    expect(seen.cgroups.agents).toEqual([]);
    expect(new Set(seen.cgroups.own)).toEqual(new Set(['/']));
    return `folders ${[...new Set(seen.cgroups.folders)].join()}, limits ${[...new Set(seen.cgroups.limits)].join()}; no release_agent`;
  },
  async () => {
    expect([...asRoot.cgroups.folders, ...asRoot.cgroups.limits]).not.toContain('ok');
    const privileged = await sandbox.askWithout<Look>(
      both(WITHOUT.user, ({ HostConfig }) => (HostConfig.Privileged = true)),
      look('cgroups'),
    );
    expect(privileged.cgroups.limits).toContain('ok');
    return 'the limits of memory and processes are lifted';
  },
);

attack(
  'K17',
  async () => {
    expect([seen.pids, seen.init]).toEqual([2, 'docker-init']);
    expect(seen.ipc).toEqual({
      shm: false,
      segments: 0,
      queues: expect.stringMatching(/EMFILE|EACCES|EROFS/),
    });
    return sandbox.beside(WITHOUT.nothing, null, async (victim) => {
      const pid = (await victim.inspect()).State.Pid;
      expect(await sandbox.ask(`tries(() => { process.kill(${pid}, 0) })`)).toBe('ESRCH');
      return `sees itself and ${seen.init}; another run’s process: ESRCH; no shared memory, no queues`;
    });
  },
  () =>
    sandbox.beside(WITHOUT.nothing, null, async (victim) => {
      const pid = (await victim.inspect()).State.Pid;
      const reach = await sandbox.askWithout<string>(({ HostConfig }) => {
        HostConfig.PidMode = 'host';
      }, `tries(() => { process.kill(${pid}, 0) })`);
      expect(reach).toBe('ok');
      const shared = await sandbox.askWithout<boolean>(({ HostConfig }) => {
        HostConfig.IpcMode = 'host';
      }, `fs.existsSync('/dev/shm') && tries(() => { fs.writeFileSync('/dev/shm/sjs-attack', ''); fs.rmSync('/dev/shm/sjs-attack') }) === 'ok'`);
      expect(shared).toBe(true);
      return 'another run’s process takes a signal; the host’s shared memory is writable';
    }),
);

attack(
  'K19',
  () => {
    expect(seen.host.slice(0, 2)).toEqual(['sandbox', 'sandbox']);
    const words = seen.host.join(' ').split(/\s+/);
    if (hostname() !== 'localhost') expect(words).not.toContain(hostname());
    expect(seen.resolver).toEqual(expect.arrayContaining(['nameserver 127.0.0.1']));
    expect(seen.resolver.filter((line) => !['nameserver 127.0.0.1', 'search .'].includes(line))).toEqual([]);
    return `host name ${seen.host[0]}; ${seen.resolver.join(', ')}`;
  },
  async () => {
    const name = await sandbox.askWithout<string>((options) => {
      options.Hostname = '';
      options.HostConfig.UTSMode = 'host';
    }, 'os.hostname()');
    expect(name).toBe(hostname());
    const resolver = await sandbox.askWithout<string>(({ HostConfig }) => {
      HostConfig.Dns = [];
      HostConfig.DnsSearch = [];
    }, `read('/etc/resolv.conf')`);
    const ofHost = /^nameserver (?!127\.)(\S+)$/m.exec(readFileSync('/etc/resolv.conf', 'utf8'))?.[1];
    if (ofHost !== undefined) expect(resolver).toContain(ofHost);
    return `the host’s name${ofHost === undefined ? '' : ', and its DNS server'}`;
  },
);

const PAST_THE_LIMIT = `${PRELUDE}
const open = (file, mode) => tries(() => { fs.closeSync(fs.openSync(file, mode)) });
fs.writeSync(1, JSON.stringify({ state: 'succeeded', exitCode: 0, tried: {
  stop: tries(() => { process.kill(1, 'SIGSTOP') }),
  kill: tries(() => { process.kill(1, 'SIGKILL') }),
  memory: open('/proc/1/mem', 'r+'),
  input: open('/proc/1/fd/0', 'r'),
} }) + '\\n');
for (;;);`;
attack(
  'K22',
  async () => {
    const record = await sandbox.record(PAST_THE_LIMIT, '--timeout', '1500ms');
    expect(record).toMatchObject({ state: 'timed-out', exitCode: 137, signal: 'SIGKILL', oomKilled: false });
    expect(record.durationMs).toBeGreaterThanOrEqual(1500);
    expect(probed(seen.calls, 'ptrace')).toBe('EPERM');
    const { tried } = JSON.parse(record.output.stdout) as { tried: Record<string, string> };
    return [
      `stop ${tried['stop']} and kill ${tried['kill']} (and both ignored), trace EPERM, memory ${tried['memory']},`,
      `descriptors ${tried['input']}; ended at its limit, and the record says so`,
    ].join(' ');
  },
  () =>
    sandbox.beside(WITHOUT.nothing, PAST_THE_LIMIT, async (container) => {
      await untilPrinted(container, /"state":"succeeded"/);
      await new Promise((resolve) => setTimeout(resolve, 2500));
      expect((await container.inspect()).State.Running).toBe(true);
      return 'a second past the limit it still runs';
    }),
);
