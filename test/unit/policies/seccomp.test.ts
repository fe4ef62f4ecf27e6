import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';

type Condition = { index: number; op: string; value: number; valueTwo?: number };
type Rule = {
  names: string[];
  action: string;
  errnoRet?: number;
  args?: Condition[];
  includes?: { arches?: string[]; caps?: string[]; minKernel?: string };
  excludes?: { arches?: string[]; caps?: string[] };
};
type Profile = {
  defaultAction: string;
  defaultErrnoRet: number;
  architectures?: string[];
  archMap: { architecture: string; subArchitectures: string[] | null }[];
  syscalls: Rule[];
};
type Script = {
  deriveProfile(upstream: Profile): Profile;
  formatProfile(profile: Profile): string;
  REMOVED: { names: string[]; why: string }[];
  NARROWED: Record<string, Condition[][]>;
  NEVER: string[];
};

const root = new URL('../../../', import.meta.url);
const text = (path: string) => readFileSync(new URL(path, root), 'utf8');
const script = (await import(new URL('scripts/seccomp.mjs', root).href)) as Script;
const parseUpstream = () => JSON.parse(text('test/fixtures/docker-default-seccomp.json')) as Profile;
const upstream = parseUpstream();
const profile = JSON.parse(text('policies/seccomp.json')) as Profile;

const holds = ({ op, value, valueTwo = 0 }: Condition, given: bigint) => {
  switch (op) {
    case 'SCMP_CMP_EQ':
      return given === BigInt(value);
    case 'SCMP_CMP_NE':
      return given !== BigInt(value);
    case 'SCMP_CMP_MASKED_EQ':
      return (given & BigInt(value)) === BigInt(valueTwo);
    default:
      throw new Error(`the test does not know ${op}`);
  }
};

/** What an engine makes of a profile for a container without capabilities on a new kernel. */
function rulesOn(arch: string, { syscalls }: Profile): Rule[] {
  return syscalls.filter(({ includes, excludes }) => {
    if (includes?.caps !== undefined && includes.caps.length > 0) return false;
    if (includes?.arches !== undefined && !includes.arches.includes(arch)) return false;
    return !(excludes?.arches?.includes(arch) ?? false);
  });
}

function allows(from: Profile, name: string, args: (number | bigint)[] = [], arch = 'amd64'): boolean {
  return rulesOn(arch, from).some(
    (rule) =>
      rule.action === 'SCMP_ACT_ALLOW' &&
      rule.names.includes(name) &&
      (rule.args ?? []).every((condition) => holds(condition, BigInt(args[condition.index] ?? 0))),
  );
}

const allowedNames = (from: Profile, arch: string) =>
  rulesOn(arch, from)
    .filter((rule) => rule.action === 'SCMP_ACT_ALLOW')
    .flatMap((rule) => rule.names);

test('the committed profile is what the script derives', () => {
  expect(text('policies/seccomp.json')).toBe(script.formatProfile(script.deriveProfile(upstream)));
});

test('the derivation leaves its input alone and does not depend on its order', () => {
  const shuffled = parseUpstream();
  shuffled.syscalls.reverse();
  for (const rule of shuffled.syscalls) rule.names.reverse();
  const before = structuredClone(shuffled);
  expect(script.formatProfile(script.deriveProfile(shuffled))).toBe(text('policies/seccomp.json'));
  expect(shuffled).toEqual(before);
});

test('what is not listed is refused with EPERM', () => {
  expect(profile.defaultAction).toBe('SCMP_ACT_ERRNO');
  expect(profile.defaultErrnoRet).toBe(1);
});

test('only the native architecture, on x86-64 and aarch64', () => {
  expect(profile.archMap).toEqual([
    { architecture: 'SCMP_ARCH_X86_64', subArchitectures: [] },
    { architecture: 'SCMP_ARCH_AARCH64', subArchitectures: [] },
  ]);
  expect(profile).not.toHaveProperty('architectures');
});

test('no rule depends on capabilities or a kernel version', () => {
  for (const { includes, excludes } of profile.syscalls) {
    expect(Object.keys({ ...includes, ...excludes }).filter((key) => key !== 'arches')).toEqual([]);
  }
});

test.each(['amd64', 'arm64'])('every allowed name is allowed upstream on %s', (arch) => {
  const above = new Set(allowedNames(upstream, arch));
  expect(allowedNames(profile, arch).filter((name) => !above.has(name))).toEqual([]);
});

test.each(['amd64', 'arm64'])('all that upstream allows on %s and is not removed is allowed', (arch) => {
  const removed = new Set(script.REMOVED.flatMap(({ names }) => names));
  const own = new Set(allowedNames(profile, arch));
  expect(allowedNames(upstream, arch).filter((name) => !removed.has(name) && !own.has(name))).toEqual([]);
});

// The list of SPEC §6 and ATTACKS K04, K06 and K18, written again on purpose: not taken from the script.
const denied = `
  ptrace process_vm_readv process_vm_writev process_madvise pidfd_getfd kcmp
  io_uring_setup io_uring_enter io_uring_register userfaultfd bpf perf_event_open keyctl add_key request_key
  mount umount umount2 pivot_root open_tree fsopen fsconfig fsmount fspick move_mount mount_setattr statmount listmount
  unshare setns chroot name_to_handle_at open_by_handle_at memfd_secret vmsplice mknod mknodat modify_ldt
  acct quotactl quotactl_fd kexec_load kexec_file_load init_module finit_module delete_module reboot swapon swapoff
  settimeofday stime clock_settime clock_settime64 clock_adjtime clock_adjtime64 adjtimex sethostname setdomainname
  lookup_dcookie fanotify_init syslog vhangup iopl ioperm socketcall clone3
`
  .trim()
  .split(/\s+/);

test.each(denied)('%s is not allowed', (name) => {
  for (const arch of ['amd64', 'arm64', 's390x', 'riscv64'])
    expect(allowedNames(profile, arch)).not.toContain(name);
});

test('clone makes no namespaces, and clone3 is missing so that libc falls back', () => {
  const thread = 0x3d0f00;
  for (const arch of ['amd64', 'arm64']) {
    expect(allows(profile, 'clone', [thread], arch)).toBe(true);
    for (const namespace of [0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000]) {
      expect(allows(profile, 'clone', [thread + namespace], arch)).toBe(false);
    }
  }
  // There the flags are the second argument: the rule would look at the wrong one.
  expect(allowedNames(profile, 's390x')).not.toContain('clone');
  const clone3 = profile.syscalls.filter((rule) => rule.names.includes('clone3'));
  expect(clone3).toEqual([{ action: 'SCMP_ACT_ERRNO', errnoRet: 38, names: ['clone3'] }]);
});

test('personality is asked for or reset, never changed', () => {
  expect(allows(profile, 'personality', [0])).toBe(true);
  expect(allows(profile, 'personality', [0xffffffff])).toBe(true);
  for (const persona of [8, 0x20000, 0x20008, 0x40000, 0x400000]) {
    expect(allows(profile, 'personality', [persona])).toBe(false);
  }
});

test('seccomp takes a filter of its own and no user-space listener', () => {
  expect(allows(profile, 'seccomp', [1, 0])).toBe(true);
  for (const flags of [8, 9, 0x18, (1n << 32n) + 8n])
    expect(allows(profile, 'seccomp', [1, flags])).toBe(false);
});

test('sockets are UNIX, INET, INET6, and NETLINK with protocol 0', () => {
  const families = Array.from({ length: 64 }, (_, family) => family);
  expect(families.filter((family) => allows(profile, 'socket', [family, 1, 6]))).toEqual([1, 2, 10]);
  expect(families.filter((family) => allows(profile, 'socket', [family, 3, 0]))).toEqual([1, 2, 10, 16]);
  const protocols = Array.from({ length: 32 }, (_, protocol) => protocol);
  expect(protocols.filter((protocol) => allows(profile, 'socket', [16, 3, protocol]))).toEqual([0]);
  expect(families.filter((family) => allows(profile, 'socketpair', [family, 1, 0]))).toEqual([1]);
});

test('bits that the kernel drops from an argument do not slip a family past the rules', () => {
  const high = 1n << 32n;
  for (const family of [16n, 17n, 38n, 40n]) {
    expect(allows(profile, 'socket', [family + high, 3, 0])).toBe(false);
  }
});

test('a narrowed name allows nothing that upstream refuses', () => {
  const samples = [0, 1, 2, 8, 9, 10, 16, 38, 40, 0x20000, 0xffffffff];
  for (const name of Object.keys(script.NARROWED)) {
    for (const first of samples) {
      for (const second of samples) {
        const args = [first, second, 0];
        if (allows(profile, name, args))
          expect([name, args, allows(upstream, name, args)]).toEqual([name, args, true]);
      }
    }
  }
});

test('every removal says why', () => {
  for (const { names, why } of script.REMOVED) {
    expect(names.length).toBeGreaterThan(0);
    expect(why).not.toBe('');
  }
});

test('refuses an upstream that allows a name that is never allowed', () => {
  for (const name of [...script.NEVER, 'clone', 'clone3']) {
    const wider = parseUpstream();
    wider.syscalls.push({ names: [name], action: 'SCMP_ACT_ALLOW' });
    expect(() => script.deriveProfile(wider)).toThrow(`the profile would allow ${name}`);
  }
});

test('asks for a decision when upstream changes what the lists rely on', () => {
  const narrower = parseUpstream();
  for (const rule of narrower.syscalls) rule.names = rule.names.filter((name) => name !== 'vmsplice');
  expect(() => script.deriveProfile(narrower)).toThrow('upstream no longer allows vmsplice');

  const versioned = parseUpstream();
  versioned.syscalls.push({
    names: ['new_call'],
    action: 'SCMP_ACT_ALLOW',
    includes: { minKernel: '7.0' },
  });
  expect(() => script.deriveProfile(versioned)).toThrow('new_call to a kernel version');

  const strange = parseUpstream();
  strange.syscalls.push({ names: ['new_call'], action: 'SCMP_ACT_ALLOW', onlyIf: 'moon' } as unknown as Rule);
  expect(() => script.deriveProfile(strange)).toThrow('unknown key onlyIf');
});

test('includes the calls that Node and an init live on', () => {
  const needed = [
    'execve',
    'wait4',
    'futex',
    'epoll_pwait',
    'eventfd2',
    'inotify_init1',
    'prctl',
    'memfd_create',
  ];
  for (const arch of ['amd64', 'arm64']) {
    expect(needed.filter((name) => !allows(profile, name, [], arch))).toEqual([]);
  }
  expect(allows(profile, 'arch_prctl')).toBe(true);
});
