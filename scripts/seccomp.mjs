/**
 * Derives policies/seccomp.json, the profile of every run, from Docker's default profile.
 *
 *   node scripts/seccomp.mjs           writes policies/seccomp.json
 *   node scripts/seccomp.mjs --check   exits 1 when the file is not what this script derives
 *
 * Upstream: test/fixtures/docker-default-seccomp.json is seccomp/default.json of github.com/moby/profiles/seccomp
 * v0.1.0 (Copyright The Moby Authors, Apache-2.0), byte for byte as vendored in Debian's source package docker.io
 * 28.5.2+dfsg4. Later upstream versions (up to moby/profiles 02e898b1) allow the same names and differ in the families
 * that `socket` takes (AF_ALG is out) and in archMap (LoongArch is in): both are replaced below.
 *
 * The profile is upstream, evaluated for a container without capabilities, less what this file lists. Nothing is added.
 * After an update of the copy, what upstream newly allows or denies appears in the diff of policies/seccomp.json; a name
 * in the lists that upstream no longer allows, or one in NEVER that it does, fails here until someone decides.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const UPSTREAM = new URL('../test/fixtures/docker-default-seccomp.json', import.meta.url);
const PROFILE = new URL('../policies/seccomp.json', import.meta.url);

/**
 * The engine takes the one entry of its own architecture and hands runc that entry with its subArchitectures. With none
 * of those, the filter kills any call made through another ABI: i386 (`int 0x80`) and x32 on x86-64, arm on aarch64.
 * On an engine of an architecture not listed libseccomp takes the native one alone.
 */
const ARCHITECTURES = { amd64: 'SCMP_ARCH_X86_64', arm64: 'SCMP_ARCH_AARCH64' };

/** What Docker's default allows a container without capabilities, and this profile does not. */
export const REMOVED = [
  { names: ['process_vm_readv', 'process_vm_writev', 'ptrace'], why: 'reach into other processes' },
  { names: ['name_to_handle_at'], why: 'file handles: half of the open_by_handle_at escape' },
  { names: ['listmount', 'statmount'], why: 'tell about mounts' },
  { names: ['mknod', 'mknodat'], why: 'device nodes' },
  { names: ['vmsplice'], why: 'maps memory into pipes: a part of page cache attacks; Node does not use it' },
  { names: ['memfd_secret'], why: 'memory that the host cannot look into' },
  { names: ['modify_ldt'], why: '16-bit segments: kernel code with a history, for programs of the 1990s' },
  { names: ['adjtimex', 'clock_adjtime', 'clock_adjtime64'], why: "the host's clock" },
  { names: ['socketcall'], why: 'sockets past the rules for socket; only 32-bit ABIs have it' },
];

const equal = (index, value) => ({ index, op: 'SCMP_CMP_EQ', value });
const noneOf = (index, bits) => ({ index, op: 'SCMP_CMP_MASKED_EQ', value: bits, valueTwo: 0 });

const AF_UNIX = 1;
const AF_INET = 2;
const AF_INET6 = 10;
const AF_NETLINK = 16;
const SECCOMP_FILTER_FLAG_NEW_LISTENER = 8;
const PERSONALITY_QUERY = 0xffffffff;

/** What upstream allows more widely: each name is allowed only where one of its argument lists matches. */
export const NARROWED = {
  personality: [[equal(0, 0)], [equal(0, PERSONALITY_QUERY)]],
  // A filter of one's own is fine; answering another program's calls in user space is not.
  seccomp: [[noneOf(1, SECCOMP_FILTER_FLAG_NEW_LISTENER)]],
  // Protocol 0 of AF_NETLINK is NETLINK_ROUTE, without which os.networkInterfaces() throws.
  socket: [
    [equal(0, AF_UNIX)],
    [equal(0, AF_INET)],
    [equal(0, AF_INET6)],
    [equal(0, AF_NETLINK), equal(2, 0)],
  ],
  socketpair: [[equal(0, AF_UNIX)]],
};

/** Not allowed today, and never to be, whatever upstream comes to say. */
export const NEVER = `
  _sysctl acct add_key bpf chroot clock_settime clock_settime64 create_module delete_module fanotify_init
  finit_module fsconfig fsmount fsopen fspick init_module io_uring_enter io_uring_register io_uring_setup
  ioperm iopl kcmp kexec_file_load kexec_load keyctl lookup_dcookie lsm_set_self_attr mount mount_setattr
  move_mount nfsservctl open_by_handle_at open_tree open_tree_attr perf_event_open pidfd_getfd pivot_root
  process_madvise quotactl quotactl_fd reboot request_key setdomainname sethostname setns settimeofday stime
  swapoff swapon syslog umount umount2 unshare uselib userfaultfd vhangup
`
  .trim()
  .split(/\s+/);

const KNOWN_KEYS = ['action', 'args', 'comment', 'errnoRet', 'excludes', 'includes', 'names'];

/** @param upstream Docker's default profile, parsed */
export function deriveProfile(upstream) {
  const removed = new Set(REMOVED.flatMap((removal) => removal.names));
  const narrowed = new Set(Object.keys(NARROWED));
  const unseen = new Set([...removed, ...narrowed]);
  const syscalls = [];

  for (const rule of upstream.syscalls.filter(appliesWithoutCapabilities)) {
    const names = rule.names.filter((name) => !removed.has(name) && !narrowed.has(name));
    rule.names.forEach((name) => unseen.delete(name));
    if (names.length > 0) syscalls.push(withoutCapabilities(rule, names));
  }
  if (unseen.size > 0)
    throw new Error(`upstream no longer allows ${[...unseen].join(', ')}: strike it from the lists`);

  for (const [name, alternatives] of Object.entries(NARROWED)) {
    for (const args of alternatives) syscalls.push({ names: [name], action: 'SCMP_ACT_ALLOW', args });
  }
  const profile = {
    defaultAction: 'SCMP_ACT_ERRNO',
    defaultErrnoRet: 1,
    archMap: Object.values(ARCHITECTURES).map((architecture) => ({ architecture, subArchitectures: [] })),
    syscalls,
  };
  refuseUnsafe(profile);
  return profile;
}

/** The same text for the same profile, whatever order it came in. */
export function formatProfile(profile) {
  const order = (value) => {
    if (Array.isArray(value)) return value.map(order);
    if (value === null || typeof value !== 'object') return value;
    return Object.fromEntries(
      Object.keys(value)
        .sort()
        .map((key) => [key, order(value[key])]),
    );
  };
  const syscalls = profile.syscalls.map((rule) => order({ ...rule, names: [...rule.names].sort() }));
  const keyOf = (rule) => `${rule.names[0]} ${JSON.stringify(rule)}`;
  syscalls.sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
  return `${JSON.stringify(order({ ...profile, syscalls }), null, 2)}\n`;
}

function appliesWithoutCapabilities(rule) {
  const strange = Object.keys(rule).filter((key) => !KNOWN_KEYS.includes(key));
  if (strange.length > 0) throw new Error(`upstream has a rule with the unknown key ${strange.join(', ')}`);
  if (rule.includes?.caps?.length > 0) return false;
  const arches = rule.includes?.arches ?? Object.keys(ARCHITECTURES);
  return arches.some((arch) => arch in ARCHITECTURES);
}

/** `excludes.caps` holds when there are none; `excludes.arches` stays, so that clone stays denied where its arguments differ. */
function withoutCapabilities(rule, names) {
  if (rule.includes?.minKernel ?? rule.excludes?.minKernel) {
    throw new Error(`upstream ties ${names.join(', ')} to a kernel version: decide it here`);
  }
  const includes = rule.includes?.arches?.filter((arch) => arch in ARCHITECTURES);
  const excludes = rule.excludes?.arches;
  return {
    names,
    action: rule.action,
    ...(rule.errnoRet === undefined ? {} : { errnoRet: rule.errnoRet }),
    ...(rule.args === undefined ? {} : { args: rule.args }),
    ...(includes === undefined ? {} : { includes: { arches: includes } }),
    ...(excludes === undefined ? {} : { excludes: { arches: excludes } }),
  };
}

function refuseUnsafe(profile) {
  const allowing = profile.syscalls.filter((rule) => rule.action !== 'SCMP_ACT_ERRNO');
  const unsafe = NEVER.filter((name) => allowing.some((rule) => rule.names.includes(name)));
  const clones = allowing.filter((rule) => rule.names.includes('clone') && rule.args === undefined);
  if (clones.length > 0) unsafe.push('clone with any flag');
  if (allowing.some((rule) => rule.names.includes('clone3'))) unsafe.push('clone3');
  if (unsafe.length > 0) throw new Error(`the profile would allow ${unsafe.join(', ')}`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const text = formatProfile(deriveProfile(JSON.parse(readFileSync(UPSTREAM, 'utf8'))));
  if (!process.argv.includes('--check')) {
    writeFileSync(PROFILE, text);
  } else if (readFileSync(PROFILE, 'utf8') !== text) {
    console.error(
      'policies/seccomp.json is not what scripts/seccomp.mjs derives: run `node scripts/seccomp.mjs`',
    );
    process.exitCode = 1;
  }
}
