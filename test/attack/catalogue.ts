/** A case of the attack suite, in words. */
export interface Case {
  /** The forbidden act. */
  readonly tried: string;
  /** What must stop it. */
  readonly control: string;
  /** What the negative control takes away; or, of something that is refused, the twin that is accepted. */
  readonly removed: string;
}

/**
 * Every case of `test/attack/`, by its number in the catalogue of attacks. The table of `make attack` and the one in
 * docs/security-model.md are made from this; a test holds that each is tried exactly once.
 */
export const CASES = {
  // b7 Run: privilege and kernel surface
  K01: {
    tried: 'be root, or a user that the host knows',
    control: 'User: a numeric uid and gid of 10000 or more, no groups',
    removed: 'User',
  },
  K02: {
    tried: 'have a capability; go without no-new-privileges or seccomp',
    control: 'CapDrop ALL, no-new-privileges, seccomp',
    removed: 'each of the three in turn',
  },
  K03: {
    tried: 'become root by a setuid file',
    control: 'packing drops setuid bits; no-new-privileges makes them void',
    removed: 'the packing, then no-new-privileges',
  },
  K04: { tried: 'mount, change root, enter or make namespaces', control: 'seccomp', removed: 'seccomp' },
  K06: {
    tried: 'reach into processes, file handles, device nodes and other calls that Docker’s default allows',
    control: 'seccomp: what sjs takes away from Docker’s default',
    removed: 'seccomp',
  },
  K07: {
    tried: 'open sockets of other families than UNIX, INET, INET6 and NETLINK protocol 0',
    control: 'seccomp: the families of socket and socketpair',
    removed: 'seccomp',
  },
  K08: {
    tried: 'call the kernel through another ABI: int 0x80, x32',
    control: 'seccomp: the native architecture alone',
    removed: 'seccomp',
  },
  K09: {
    tried: 'write the page cache of a sealed file (AF_ALG, vmsplice)',
    control: 'seccomp; other runs see the same bytes',
    removed: 'seccomp',
  },
  K11: {
    tried: 'overwrite the running program, or init',
    control: 'read-only root, User',
    removed: 'both (each alone holds)',
  },
  K12: {
    tried: 'read what /proc and /sys hide; write to /proc/sys and sysrq-trigger; find a console',
    control: 'masked and read-only paths, no TTY',
    removed: 'MaskedPaths; ReadonlyPaths and User; Tty',
  },
  K13: {
    tried: 'run without AppArmor or SELinux',
    control: 'the engine’s AppArmor profile or SELinux label, where the host has one',
    removed: 'the profile: unconfined',
  },
  K14: {
    tried: 'find the engine’s socket, or any other',
    control: 'no volumes, private network namespace',
    removed: 'Binds: the engine’s socket; NetworkMode: host',
  },
  K16: {
    tried: 'raise its own limits; find a release_agent',
    control: 'cgroups mounted read-only, User',
    removed: 'both (User alone holds; Privileged mounts them writable)',
  },
  K17: {
    tried: 'see and signal other processes; share memory with them',
    control: 'private PID and IPC namespaces',
    removed: 'PidMode and IpcMode: host, in turn',
  },
  K18: { tried: 'set the clock or the host’s name', control: 'seccomp, no capabilities', removed: 'seccomp' },
  K19: {
    tried: 'learn the host’s name and DNS server',
    control: 'Hostname, Dns and DnsSearch of our own; private UTS namespace',
    removed: 'UTSMode: host; Dns and DnsSearch',
  },
  K22: {
    tried: 'stop, trace or overwrite PID 1; print a record of its own; then go on past the limit',
    control: 'the limit is sjs’s and the engine’s, outside the sandbox; seccomp',
    removed: 'sjs: the same container with nobody to end it',
  },

  // b8 Run: file system
  F01: {
    tried: 'create a file in every folder, append to every file',
    control: 'read-only root, User',
    removed: 'both (each alone holds)',
  },
  F02: { tried: 'execute from /tmp: a program, a native addon', control: 'Tmpfs: noexec', removed: 'noexec' },
  F03: { tried: 'fill /tmp', control: 'Tmpfs: size', removed: 'size' },
  F04: { tried: 'fill /tmp with empty files', control: 'Tmpfs: nr_inodes', removed: 'nr_inodes' },
  F06: {
    tried: 'change /app: write, chmod, rename, remove',
    control: 'read-only root, User; /app belongs to root',
    removed: 'both (each alone holds)',
  },
  F07: {
    tried: 'write to the host’s disk through a VOLUME of the image',
    control: 'the seal is compared before every run',
    removed: 'the comparison: the same image, run by hand with all options',
  },
  F08: { tried: 'leave a core dump', control: 'Ulimits: core of one byte', removed: 'the ulimit' },

  // b9 Run: network
  N01: {
    tried: 'reach the Internet: TCP, UDP, DNS',
    control: 'NetworkMode: none',
    removed: 'NetworkMode: bridge',
  },
  N02: {
    tried: 'reach a cloud’s metadata service',
    control: 'NetworkMode: none',
    removed: 'NetworkMode: a network where one listens',
  },
  N03: {
    tried: 'reach the host by any of its addresses',
    control: 'NetworkMode: none',
    removed: 'NetworkMode: bridge',
  },
  N04: { tried: 'reach another run', control: 'NetworkMode: none', removed: 'NetworkMode: bridge, for both' },
  N06: {
    tried: 'reach the host over IPv6, or over IPv4 mapped into it',
    control: 'NetworkMode: none',
    removed: 'NetworkMode: a network with IPv6',
  },
  N08: {
    tried: 'listen, and be reached from the host',
    control: 'NetworkMode: none, no published ports',
    removed: 'NetworkMode: bridge',
  },

  // b10 Run: resources
  R01: { tried: 'use more CPU than its share', control: 'NanoCpus', removed: 'NanoCpus' },
  R02: { tried: 'fork without end', control: 'PidsLimit', removed: 'PidsLimit' },
  R03: {
    tried: 'allocate without end',
    control: 'Memory: the kernel ends it, the record says so',
    removed: 'Memory and MemorySwap',
  },
  R04: {
    tried: 'grow V8’s heap without end',
    control: 'Memory, with the heap limit as high: out of memory, not an abort',
    removed: 'the heap limit’s height',
  },
  R06: { tried: 'use swap', control: 'MemorySwap equal to Memory', removed: 'MemorySwap' },
  R07: { tried: 'open files without end', control: 'Ulimits: nofile', removed: 'the ulimit' },
  R08: {
    tried: 'use up the inotify instances of everybody (the kernel counts them by user)',
    control: 'User: never one of the host’s; a user of its own where a sandbox declares one',
    removed: 'the user of its own: two sandboxes with the same one share',
  },
  R11: {
    tried: 'leave a daemon behind',
    control: 'private PID namespace: PID 1’s end is everybody’s',
    removed: 'the container: the same daemon on the host',
  },
  R12: { tried: 'leave orphans without end', control: 'Init', removed: 'Init' },
  R13: {
    tried: 'block every thread: Atomics.wait, spinning workers, synchronous work, a slow pattern',
    control: 'the deadline, outside the sandbox',
    removed: 'sjs: the same container with nobody to end it',
  },
  R14: {
    tried: 'forge an outcome by its exit code or signal',
    control: 'the outcome comes from the engine and sjs’s own clock',
    removed: 'the difference: real ends, which the record tells apart',
  },

  // b11 Run: output
  O01: {
    tried: 'write without end',
    control: 'the output limit, counted by sjs',
    removed: 'sjs: the same container with nobody to count',
  },
  O02: {
    tried: 'write one endless line, empty lines, single bytes',
    control: 'the output limit, counted by sjs',
    removed: 'sjs: the same container with nobody to count',
  },
  O04: {
    tried: 'steer the operator’s terminal: clipboard, title, answers, screen, overwriting',
    control: 'control characters are shown as text on a terminal',
    removed: '--raw',
  },
  O07: {
    tried: 'print a record of its own',
    control: 'the record is told apart from the output',
    removed: 'the record: reading the output instead',
  },
  O08: {
    tried: 'print what looks like the engine’s stream headers',
    control: 'no TTY: the engine frames the streams, sjs reads the frames',
    removed: 'Tty',
  },
  O09: {
    tried: 'go on when nobody reads the output any more; when it cannot be written',
    control: 'sjs ends the run',
    removed: 'a reader that reads on',
  },
  O13: {
    tried: 'leak a secret through logs, errors, records or the engine',
    control: 'secrets go in through a pipe, never in a request',
    removed: 'a plain variable (--env)',
  },

  // b15 Crash and recovery
  X13: {
    tried: 'lose the engine’s answer to create',
    control: 'sjs removes by name what it never heard of',
    removed: 'sjs: the same lost answer with nobody to clean up',
  },
  X18: {
    tried: 'clean up while another sjs runs; reuse its pid',
    control: 'the owner: boot, pid, start time',
    removed: 'the owner’s life: the start time of another process',
  },
  X19: {
    tried: 'be removed, as a stranger’s container with sjs’s image and name',
    control: 'labels given when a run is created',
    removed: 'the stranger: a container as of a run whose sjs is dead',
  },
} satisfies Readonly<Record<string, Case>>;

/** The number of a case. */
export type CaseId = keyof typeof CASES;
