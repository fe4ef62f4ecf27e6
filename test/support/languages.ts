import type { Language } from '../../src/model/language.js';

/** The same program in each language: what it does is its first argument. */
const JAVASCRIPT = `import { readFileSync, writeFileSync } from 'node:fs';
import { spawn } from 'node:child_process';
import { connect } from 'node:net';

type Attempt = () => unknown;
const [mode = '', ...rest]: string[] = process.argv.slice(2);
const codeOf = (error: unknown): string => (error as { code?: string }).code ?? (error as Error).name;
function attempt(act: Attempt): string {
  try {
    act();
    return 'done';
  } catch (error) {
    return codeOf(error);
  }
}
const write = (path: string): string => attempt(() => writeFileSync(path, 'x'));

if (mode === 'echo') {
  console.error('to stderr');
  console.log(JSON.stringify({ rest, foo: process.env.FOO, stdin: readFileSync(0, 'utf8') }));
  process.exitCode = 7;
}
if (mode === 'sleep') for (;;);
if (mode === 'eat') for (const all: unknown[] = []; ; ) all.push(new Array(100_000).fill(Math.random()));
if (mode === 'flood') for (;;) writeFileSync(1, 'x'.repeat(4096));
if (mode === 'crash') throw new Error('broken on purpose');
if (mode === 'write') console.log(['/app/x', '/x', '/etc/x', '/tmp/x', '/out/x.txt'].map(write).join(' '));
if (mode === 'fork') {
  let refused = 0;
  for (let at = 0; at < 60; at += 1) {
    try {
      spawn(process.execPath, ['--version'], { stdio: 'ignore' }).on('error', () => (refused += 1));
    } catch {
      refused += 1;
    }
  }
  setTimeout(() => console.log(refused > 0 ? 'refused' : 'all started'), 500);
}
if (mode === 'connect') {
  const say = (what: string): void => {
    console.log(what);
    process.exit(0);
  };
  try {
    connect(80, '192.0.2.1', () => say('connected')).on('error', () => say('blocked'));
  } catch {
    say('blocked');
  }
}
`;

const PYTHON = `import json, os, socket, sys, time
from beside import attempt

mode, rest = sys.argv[1], sys.argv[2:]


def write(path):
    with open(path, "w") as file:
        file.write("x")


if mode == "echo":
    print("to stderr", file=sys.stderr)
    print(json.dumps({"rest": rest, "foo": os.environ.get("FOO"), "stdin": sys.stdin.read()}))
    sys.exit(7)
if mode == "sleep":
    while True:
        pass
if mode == "eat":
    everything = []
    while True:
        everything.append(bytearray(1 << 20))
if mode == "flood":
    while True:
        sys.stdout.write("x" * 4096)
if mode == "crash":
    raise ValueError("broken on purpose")
if mode == "write":
    print(*(attempt(lambda: write(path)) for path in ["/app/x", "/x", "/etc/x", "/tmp/x", "/out/x.txt"]))
if mode == "fork":
    for _ in range(60):
        try:
            if os.fork() == 0:
                time.sleep(1)
                os._exit(0)
        except BlockingIOError:
            print("refused")
            sys.exit()
    print("all started")
if mode == "connect":
    try:
        socket.create_connection(("192.0.2.1", 80), 5)
        print("connected")
    except OSError:
        print("blocked")
`;

const BESIDE = `def attempt(act):
    try:
        act()
        return "done"
    except OSError as error:
        return type(error).__name__
`;

/** What differs between them in the contract. */
export interface LanguageCase {
  readonly language: Language;
  readonly files: Readonly<Record<string, string>>;
  readonly entrypoint: string;
  /** Lines under `spec` beside the ones that all have. */
  readonly spec: string;
  /** What a refused write is called. */
  readonly readOnly: string;
}

const javascript = (language: Language, spec: string, readOnly = 'EROFS'): LanguageCase => ({
  language,
  files: { 'main.ts': JAVASCRIPT },
  entrypoint: 'main.ts',
  spec,
  readOnly,
});

export const LANGUAGE_CASES: readonly LanguageCase[] = [
  javascript('node', '  permissions: { childProcess: true }\n', 'ERR_ACCESS_DENIED'),
  javascript('deno', '  permissions: { childProcess: true }\n', 'NotCapable'),
  javascript('bun', ''),
  {
    language: 'python',
    files: { 'main.py': PYTHON, 'beside.py': BESIDE },
    entrypoint: 'main.py',
    spec: '',
    readOnly: 'OSError',
  },
];
