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
  // b1 Config
  C01: {
    tried: 'blow up the parser by lists of aliases of lists',
    control: 'anchors and aliases are refused',
    removed: 'the refusal: js-yaml by itself',
  },
  C02: {
    tried: 'blow up the parser by merge keys',
    control: 'merge keys and aliases are refused',
    removed: 'the refusal: js-yaml with merge keys',
  },
  C03: {
    tried: 'pollute Object.prototype by __proto__ and constructor',
    control: 'keys are own properties, and only known ones are accepted',
    removed: 'both: a merge of what was read into defaults',
  },
  C04: {
    tried: 'exhaust the stack by 20,000 levels',
    control: '32 levels are allowed',
    removed: 'the limit: js-yaml without it',
  },
  C07: {
    tried: 'have objects or code made of tagged values',
    control: 'tags are refused',
    removed: 'the refusal: js-yaml with the types of YAML 1.1',
  },
  C09: {
    tried: 'have a pipe, a device, 1 GiB, a folder, or a private key read as sandbox.yaml',
    control:
      'opened without following links or waiting, 256 KiB of a plain file alone; no foreign file is quoted',
    removed: 'the way it is opened: a plain read',
  },
  C11: {
    tried: 'ask for limits of -1, 0, NaN, 1e309, 999Ti',
    control: 'each limit has a range',
    removed: 'the ranges: docker create with the same numbers',
  },
  C12: {
    tried: 'start outside /app, or in a folder of an inherited descriptor',
    control: 'the entrypoint is a path below the source, the work folder is fixed',
    removed: 'both: docker build with the same paths',
  },
  C14: {
    tried: 'have the host’s environment interpolated into values',
    control: 'values are literal, and quoted for the builder',
    removed: 'both: docker build with the same text',
  },
  C19: {
    tried: 'ask for more than the operator allows',
    control: 'the policy is an upper bound; there is no key and no flag to leave it',
    removed: 'the bound: a policy that allows as much',
  },

  // b2 Base verification
  B01: {
    tried: 'build over a tag that may move',
    control: 'a base is named by version or digest, and the tag of a version is never built over',
    removed: 'that: docker build over the tag',
  },
  B02: {
    tried: 'move the tag of a base that is pinned',
    control: 'a pin is the digest alone; no tag is asked',
    removed: 'the pin: docker build over the tag',
  },
  B03: {
    tried: 'move the tag of a base once it was verified and locked',
    control: 'everything behind the lock names the base by its digest',
    removed: 'the digest: docker build over the tag',
  },
  B04: {
    tried: 'build over a base that nobody signed',
    control: 'a signature by a trusted key is required',
    removed: 'that: docker build over the same base',
  },
  B06: {
    tried: 'sign as the right identity, in the word of another OIDC issuer',
    control: 'a policy names the issuer, and cosign is always asked for exactly that one',
    removed: 'the issuer: cosign with any',
  },
  B07: {
    tried: 'pass for an identity that a loose expression matches',
    control: 'expressions are anchored at both ends, and literal up to the owner',
    removed: 'the anchors',
  },
  B08: {
    tried: 'have cosign check less by a key of the sandbox',
    control: 'there is no such key, and the arguments are a fixed list',
    removed: 'the list: cosign with --check-claims=false',
  },
  B09: {
    tried: 'steer cosign by the environment to the attacker’s signatures',
    control: 'cosign gets an environment of a few names',
    removed: 'that: cosign with the attacker’s variable',
  },
  B11: {
    tried: 'hide a signature from the log by the entry of another one',
    control: 'the log’s entry must be that of this signature',
    removed: 'the log: cosign with --insecure-ignore-tlog',
  },
  B12: {
    tried:
      'have a stranger’s signature count by where it lies: under a tag, in the fallback index, as a referrer',
    control: 'each place is judged by the same rule',
    removed: 'the rule: one that trusts the stranger',
  },
  B13: {
    tried: 'delete the bundle, so that an older signature by a signer no longer trusted is found',
    control: 'what is left must meet the same rule',
    removed: 'the rule: one that still trusts the old signer',
  },
  B14: {
    tried: 'pass with an attestation by the trusted key, and no signature',
    control: 'what cosign accepted must be a signature of the image',
    removed: 'that: the exit code of cosign 3',
  },
  B16: {
    tried: 'bring more layers by a signed manifest than its config lists',
    control: 'a manifest fits its config, has layers of known kinds and no URLs, and is no index at once',
    removed: 'that: cosign alone, which looks at the signature',
  },
  B17: {
    tried: 'have a base pass because nobody could be asked',
    control: 'what cannot be verified is refused',
    removed: 'the twin: the same policy with a registry that answers',
  },
  B18: {
    tried: 'put another program in the place of cosign',
    control: 'its answer must name the digest, in 8 MiB, and in time',
    removed: 'the answer: its exit code alone; the time: a plain call',
  },
  B19: {
    tried: 'have a base pass by what was remembered of it',
    control: 'nothing that verified is remembered: cosign is asked each time, by the policy in force',
    removed: 'the twin: the same memory under the policy that trusts the signer',
  },
  B21: {
    tried: 'pin by a digest that is short, in capitals or of another algorithm',
    control: 'a digest is sha256: and 64 lower-case hex digits',
    removed: 'the twin: the whole digest',
  },
  B22: {
    tried: 'have sjs ask a host that the author chose, with credentials of the author',
    control: 'no registry is asked before a rule of the policy trusts the repository, letter by letter',
    removed: 'the rule: a policy that trusts every repository',
  },
  B23: {
    tried: 'have a key count by a clock of this machine that is ten years early or late',
    control: 'a key counts between its dates alone; the refusal says which time it was judged by',
    removed: 'the shift: the same policy by the right clock',
  },
  B24: {
    tried: 'have a signed base fill the disk, by what its manifest declares or by what it unpacks to',
    control:
      'at most 2 GiB compressed are taken, by the manifest, before anything is pulled; what unpacks to more than 8 GiB, or than 256 MiB and 20 times its size, is refused and removed',
    removed: 'both: cosign alone, which looks at the signature; docker pull',
  },

  // b3 Template and render
  T01: {
    tried: 'bring an instruction by a line break in a value',
    control: 'values with line breaks and other controls are refused',
    removed: 'the refusal: the value put into a Dockerfile as it is',
  },
  T02: {
    tried: 'bring a directive that names another frontend',
    control: 'line 1 is a constant of sjs, values stand behind an instruction',
    removed: 'the constant: a Dockerfile that begins with the directive',
  },
  T03: {
    tried: 'swallow the next instruction by a backslash or a backtick at the end',
    control: 'values are quoted, and the instructions are those of the template',
    removed: 'the quotes: the value put into a Dockerfile as it is',
  },
  T06: {
    tried: 'name another frontend or a proxy by build arguments',
    control: 'there is no key for them, and none is taken from the environment',
    removed: 'that: docker build with the argument',
  },
  T08: {
    tried: 'be root, by number, by name, by group, or by naming nobody',
    control: 'user and group are numbers of 10000 or more, and always set',
    removed: 'that: docker build with the same users',
  },
  T09: {
    tried: 'have a value evaluated: template expressions, places of the template, replacement patterns',
    control: 'places are filled once, and values are not looked into',
    removed: 'that: the template filled place by place, the expression evaluated',
  },

  // b4 Context packing
  P01: {
    tried: 'pack an absolute link to a file outside the source',
    control: 'links are packed as links, and only if they stay inside',
    removed: 'the check: tar that follows links',
  },
  P02: {
    tried: 'leave the source by a relative link, by a chain, through a folder, or loop',
    control: 'the whole way of each link is followed on paper',
    removed: 'the check: tar that follows links',
  },
  P03: {
    tried: 'put a link in the place of a file while it is packed',
    control: 'opened without following links, and compared with what was collected',
    removed: 'both: tar-fs, which opens by name',
  },
  P04: {
    tried: 'put a link in the place of a parent folder while it is packed',
    control: 'the opened file must be the collected one, at its place below the source',
    removed: 'both: tar-fs, which opens by name',
  },
  P06: {
    tried: 'have the packer wait at a pipe or a socket',
    control: 'special files are refused before they are opened',
    removed: 'the check: a reader that opens the pipe',
  },
  P07: {
    tried: 'pack a file of 1 TiB',
    control: 'sizes are added up before anything is read',
    removed: 'the sum: tar, which reads',
  },
  P11: {
    tried: 'take over the build by a Dockerfile, a .dockerignore or a bake file',
    control: 'the author’s files lie below a prefix of their own, beside the Dockerfile of sjs',
    removed: 'the prefix: docker build of the same folder',
  },
  P13: {
    tried: 'bring setuid, setgid and sticky bits, owners and attributes into the image',
    control: 'modes 0644 and 0755 alone, owner 0:0, no extended headers',
    removed: 'the normalisation: tar-fs',
  },
  P14: {
    tried: 'have keys, tokens and git’s configuration packed',
    control: 'they stay out, unless a file is named exactly',
    removed: 'the list: one of them named, and plain tar',
  },
  // b5 Build
  D01: {
    tried: 'have the install script of a package run while it is laid in',
    control:
      'tarballs are unpacked into the layer, and nothing of them is ever run; one with a script that the lockfile hides is refused',
    removed: 'that: npm ci of the same lockfile',
  },
  D02: {
    tried: 'have a lockfile fetch from git, a file, http or another host',
    control: 'only addresses of the registry that the operator configured',
    removed: 'the check: npm ci asks the other host',
  },
  D03: {
    tried: 'have other bytes laid in than those that were locked, or none that are locked',
    control: 'every package has a strong integrity, and every byte is checked against it',
    removed: 'the integrity: npm ci installs the other tarball',
  },
  D04: {
    tried: 'have more installed than the lockfile has, or something without one',
    control: 'package.json and lockfile must agree; nothing is ever resolved',
    removed: 'the check: npm install takes what is new',
  },
  D11: {
    tried: 'have a build take its source from a URL or from git',
    control: 'a source is a folder on this machine; a target that is no folder is not there',
    removed: 'that: docker build of the URL',
  },
  D12: {
    tried: 'have a build that never ends, and prints a terminal’s commands',
    control: 'a build has a limit, and the engine is told to stop',
    removed: 'the limit: docker build',
  },
  D13: {
    tried: 'fill disk and memory with a tarball that unpacks to more than a gigabyte',
    control: 'unpacking stops at its bounds, and what was begun is removed',
    removed: 'the bounds: gunzip makes all of it',
  },
  D06: {
    tried: 'reach this machine, or the cloud’s metadata, from a build step',
    control: 'every build has the network none',
    removed: 'none: the same step by docker build with the host’s network',
  },
  D07: {
    tried: 'have the operator’s proxies, with their password, end up in a build step or the image',
    control: 'nothing of Docker’s configuration or of the environment goes into a build',
    removed: 'that: docker build with the same configuration',
  },
  D08: {
    tried: 'have the host’s environment, the registry’s password or a token end up in the image',
    control: 'no environment and no build argument of the host; credential files stay out of the context',
    removed: 'both: docker build with the folder, and with a build argument',
  },
  D09: {
    tried: 'be taken for a step of a build: an image of the same parent and history, with other files',
    control: 'layers are compared with what was packed',
    removed: 'the comparison: a run of the crafted image',
  },
  D14: {
    tried: 'end sjs in the middle of a build',
    control:
      'what is built has a tag that says who is at work, until it is sealed; the next command removes it',
    removed: 'that command: what the engine has before it',
  },
  D16: {
    tried: 'have the program written elsewhere by a base whose /app and /tmp are links',
    control: 'the base’s root is looked through before anything is built over it',
    removed: 'the look: docker build',
  },
  D17: {
    tried: 'rewrite the program in /app',
    control: '/app belongs to root, with modes 0755 and 0644',
    removed: 'the normalisation: docker build of the same folder',
  },
  D18: {
    tried:
      'come out otherwise: on another day, engine or path, by another Node, in another locale, under another umask',
    control: 'names in order, times and owners constant, modes of two kinds',
    removed: 'that: docker build of the same folder',
  },

  // b6 Seal and tag
  S01: {
    tried: 'tag another image over a sealed one',
    control: 'the seal of what the engine holds is computed and compared at every run',
    removed: 'the comparison: docker run of the tag',
  },
  S02: {
    tried: 'seal other content under a name, a version or a tag that is taken',
    control: 'a tag has digits of its seal, and is never moved to another; there is no flag for it',
    removed: 'that: docker build under the same tag',
  },
  S03: {
    tried: 'have six builds of one name take each other’s tag or tear the index',
    control: 'a tag has digits of its seal; each entry is a file that is renamed into its place',
    removed: 'the digits: docker build under one tag',
  },
  S04: {
    tried: 'edit the tag, the seal, the name, the image or the base of an entry of the index',
    control: 'each is compared with the seal and the labels of the image, the base’s digest by sjs verify',
    removed: 'the comparison: docker run of what the entry names',
  },
  S06: {
    tried: 'seal over volumes, triggers, a setuid file, a folder that all may write',
    control: 'config and files of the base are checked, signed or not',
    removed: 'the check: docker build over the same base',
  },
  S07: {
    tried: 'have an image that is gone replaced by a public one of its name',
    control: 'a sealed image is never pulled',
    removed: 'that: docker run, which pulls',
  },
  S08: {
    tried: 'pass for a sealed image, or be refused as none, where the engine keeps images in another store',
    control: 'the seal is of the config and the layers, whatever id an engine gives them',
    removed: 'the seal: the engines’ ids',
  },
  S09: {
    tried: 'kill sjs between the image, its entry in the index and its tag',
    control: 'the index comes first, the tag last; the next command removes the tag of the build',
    removed: 'that command: what the engine has before it',
  },

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
  N07: {
    tried: 'open raw, packet and ICMP sockets on an isolated network',
    control: 'seccomp, no capabilities, ping_group_range of nobody',
    removed: 'all three',
  },
  N08: {
    tried: 'listen, and be reached from the host',
    control: 'NetworkMode: none, no published ports',
    removed: 'NetworkMode: bridge',
  },
  N09: {
    tried: 'leave other runs without a network by using up the addresses',
    control: 'subnets of a range of their own, another one where one is taken',
    removed: 'the range: the pools of the engine',
  },
  N11: {
    tried: 'reach another server through a declared name: other, absent or misspelt server names',
    control: 'the gateway compares the TLS server name, or the Host, with what is declared',
    removed: 'the gateway: the same connection from the engine’s own network',
  },
  N12: {
    tried: 'flood: 4000 connections through the gateway, datagrams past it',
    control: 'the gateway begins connections at a bounded rate, and nothing leads past it',
    removed: 'the gateway: the same flood from the engine’s own network',
  },
  N13: {
    tried: 'keep the network by staying connected while the run is ended',
    control: 'sandbox and gateway go before the network',
    removed: 'that order: docker network rm with a container on it',
  },
  N14: {
    tried:
      'reach the host, or metadata, from an isolated network: the bridge’s own address, each neighbour, each address of the host',
    control: 'an internal network on which the host has no address, proven by a probe',
    removed: 'inhibit_ipv4: a plain internal network',
  },
  N15: {
    tried: 'carry a secret out in DNS questions from an isolated network',
    control: 'nobody resolves but the gateway, which forwards no question',
    removed: 'both: a network of the engine with a resolver',
  },
  N16: {
    tried: 'reach another isolated run',
    control: 'a network of its own for each run',
    removed: 'that: two containers on one network',
  },
  N17: {
    tried: 'reach anything over IPv6 from an isolated network, or over IPv4 mapped into it',
    control: 'no IPv6: neither on the network nor in the sandbox',
    removed: 'that: an internal network with IPv6',
  },
  N18: {
    tried: 'listen on an isolated network, and be reached from the host or another container',
    control: 'an internal network on which the host has no address; no published ports',
    removed: 'inhibit_ipv4: a plain internal network',
  },
  N19: {
    tried:
      'be carried elsewhere by how a name is written: IP literals, upper case, trailing dots, punycode, absent, doubled and encrypted server names, other Hosts',
    control: 'names are compared as they are declared; what names nobody is refused',
    removed: 'the gateway: the same bytes from the engine’s own network',
  },
  N20: {
    tried: 'reach a private address by a declared name that resolves to it',
    control: 'the gateway looks a name up itself and connects to public addresses alone',
    removed: 'that: the twin with the address pinned',
  },
  N21: {
    tried:
      'forge or spoil the record of connections: by output, by names with line breaks and control sequences',
    control: 'the gateway speaks on a stream of its own, in JSON that is checked and cleaned',
    removed: 'the stream: the printed line taken for a gateway’s',
  },
  N22: {
    tried: 'reach the host’s datagram services from an isolated network by broadcast and multicast',
    control: 'seccomp: on a network, sockets of INET and INET6 are streams',
    removed: 'seccomp: another container on such a network',
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
  X02: {
    tried:
      'kill sjs in each step of a run: network, volume, gateway, collector, sandbox, their starts and removals',
    control: 'the next command recovers and removes what carries the labels of a run whose owner is dead',
    removed: 'that command: what the engine has before it',
  },
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

  // Modules
  M01: {
    tried: 'load a module that is not listed, in every way that is known',
    control: 'a preload keeps Node’s loader to the closed list of spec.modules (a layer)',
    removed: 'spec.modules: the same program without it',
  },
  M02: {
    tried: 'become a program without the list, with no module for it',
    control: 'process.execve is closed where child_process is not listed',
    removed: 'spec.modules: the same program without it',
  },

  // b12 Replay
  Y01: {
    tried: 'take away what a run was made of: its registries of bases and of packages, and cosign',
    control: 'a replay needs the sealed image and the record alone',
    removed: 'the seal: a build of the same sandbox, which asks for both',
  },
  Y02: {
    tried: 'replay with more: by flags, by an edited record, by a weaker seccomp profile',
    control: 'a replay takes no such flags; limits are bounded by the seal, which names the profile',
    removed: 'the seal: docker run of the same image with the same wishes',
  },
  Y03: {
    tried: 'replay what is not there, or lies at a path of its own choice',
    control: 'a target is looked up in the index and the records, and never pulled or opened',
    removed: 'the lookup: docker run, which pulls; a path made of the target',
  },
  Y07: {
    tried: 'come out otherwise in one of 100 replays, while others run',
    control: 'the same image, arguments, stdin, environment and limits; a frozen clock and seed',
    removed: 'the declared determinism of a program that prints time and random numbers',
  },
  Y04: {
    tried:
      'replay on another architecture; under another engine, runtime and kernel than the record says, unseen',
    control:
      'an image for another platform is refused, at import too; what ran a run is in its record and compared',
    removed: 'the refusal: docker run; the difference: the same engine, runtime and kernel',
  },
  Y06: {
    tried: 'replay over a base that was denied since',
    control: 'each replay asks the policy of that day',
    removed: 'the denial: the policy of before',
  },
  Y08: {
    tried:
      'leave something behind at each of 100 replays, of one process: with the engine, on disk, in memory',
    control: 'a replay removes all that it made, and keeps nothing',
    removed: 'that: docker run of the same image, without --rm; a process that keeps 64 KiB each time',
  },

  // b13 Pools
  H21: {
    tried: 'find in one call what another left: files, processes, environment, globals, sockets',
    control: 'a container of a pool has one call, and is removed',
    removed: 'that: two in one container',
  },
  H22: {
    tried:
      'have a call given to a container that was killed, paused, removed or ran out of memory, or whose image changed',
    control: 'the engine is asked for state and image when it is handed out',
    removed: 'the question',
  },
  H23: {
    tried: 'have one container given to two of 40 calls at once',
    control: 'it is off the list before anything is waited for',
    removed: 'that: a list that is looked at first',
  },
  H24: {
    tried: 'find a secret, an input or the id of a run in a container that waits',
    control: 'all of it comes over stdin, when it is claimed; no network',
    removed: 'that: docker run -e',
  },

  // Functions: what they can do to the call (K22 and the rows of output, for an answer)
  L01: {
    tried: 'answer by printing: with another nonce, in cut pieces, as JSON',
    control: 'a nonce that is new for each call',
    removed: 'the nonce: whoever takes any',
  },
  L02: {
    tried: 'keep the caller waiting after the answer: timers, loops, children, workers, floods',
    control: 'the answer ends the run',
    removed: 'sjs: the same call of the same image, with nobody who reads its answer',
  },
  L03: {
    tried: 'exhaust who reads the answer by thousands of its beginnings, and by pieces without an end',
    control: 'one that has not begun with the nonce is output, and is held for 36 bytes',
    removed: 'that: a reader that searches anew in all that it holds',
  },
  L04: {
    tried: 'change JSON, Promise, Buffer, fs and the prototypes; close every descriptor; end or kill itself',
    control: 'the outcome is read outside, from the engine and the record',
    removed: 'the sandbox: the same code in the process of the caller',
  },
} satisfies Readonly<Record<string, Case>>;

/** The number of a case. */
export type CaseId = keyof typeof CASES;
