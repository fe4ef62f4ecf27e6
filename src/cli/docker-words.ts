import { SjsError } from '../index.js';

const SEALED = 'what a run may do is sealed into the image';

/** Docker's options that would widen a sealed image, each with the way it is done here. */
const REFUSED: Readonly<Record<string, readonly [words: readonly string[], why: string, next: string]>> = {
  volume: [
    ['v', 'volume', 'mount', 'tmpfs', 'volumes-from'],
    'a sandbox never sees folders of this machine',
    'put files in with --in FILE, spec.source or stdin; what the program leaves in /out comes back with --out DIR',
  ],
  privileges: [
    ['privileged', 'cap-add', 'device', 'gpus', 'security-opt', 'group-add', 'sysctl', 'ulimit'],
    'no run gets more rights than every sandbox has',
    'leave it out; sjs plan shows the rights that a sandbox has',
  ],
  user: [['u', 'user'], `the user is sealed in`, 'set spec.user in sandbox.yaml and build again'],
  namespaces: [
    ['pid', 'ipc', 'uts', 'userns', 'cgroupns', 'cgroup-parent'],
    'a sandbox shares nothing with this machine',
    'leave it out: every run has namespaces of its own',
  ],
  ports: [
    ['p', 'publish', 'P', 'publish-all', 'expose', 'add-host', 'dns', 'link'],
    SEALED,
    'declare spec.network in sandbox.yaml and build again, or give --port HOST:CONTAINER with a path',
  ],
  program: [
    ['entrypoint', 'w', 'workdir'],
    SEALED,
    `set spec.entrypoint or spec.command in sandbox.yaml and build again, or give --cmd '["node","x.js"]' with a path`,
  ],
  terminal: [['t', 'tty'], 'a sandbox never gets a terminal', 'use -i alone to pass your input on'],
  always: [
    ['read-only', 'init', 'cap-drop', 'memory-swap', 'no-healthcheck'],
    'every run is like that already',
    'leave it out',
  ],
  pulling: [['pull', 'platform'], 'nothing is pulled for a run', 'build it here with sjs build'],
};

const NOT_YET: Readonly<Record<string, string>> = {
  name: 'leave --name out: sjs runs lists every run with its id',
  runtime: 'leave --runtime out: runs use runc',
};

/** The answer to an option of docker run that means something else here; null for any other option. */
export function answerDockerWord(option: string, value: unknown): SjsError | null {
  const word = `${option.length === 1 ? '-' : '--'}${option}`;
  if (option === 'network' || option === 'net') {
    if (value === 'none') return null;
    return value === 'isolated'
      ? refuse(
          `${word} isolated`,
          SEALED,
          'declare spec.network in sandbox.yaml and build again, or give --egress or --port with a path',
        )
      : refuse(
          `${word} ${String(value)}`,
          SEALED,
          'a run has the network that is sealed: none, unless spec.network says isolated',
        );
  }
  const later = Object.hasOwn(NOT_YET, option) ? NOT_YET[option] : undefined;
  if (later !== undefined) return new SjsError('NOT_YET', `${word} is not there yet`, { next: later });
  const entry = Object.values(REFUSED).find(([words]) => words.includes(option));
  return entry === undefined ? null : refuse(word, entry[1], entry[2]);
}

const refuse = (word: string, why: string, next: string): SjsError =>
  new SjsError('USAGE', `sjs takes no ${word}: ${why}`, { next });
