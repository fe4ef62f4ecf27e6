import { Readable } from 'node:stream';
import { describe, expect, test } from '@jest/globals';
import { baseLsVerb } from '../../../src/cli/verbs/base-ls.js';
import { buildVerb } from '../../../src/cli/verbs/build.js';
import { doctorVerb } from '../../../src/cli/verbs/doctor.js';
import { exportVerb } from '../../../src/cli/verbs/export.js';
import { imagesVerb } from '../../../src/cli/verbs/images.js';
import { importVerb } from '../../../src/cli/verbs/import.js';
import { inspectVerb } from '../../../src/cli/verbs/inspect.js';
import { killVerb } from '../../../src/cli/verbs/kill.js';
import { logsVerb } from '../../../src/cli/verbs/logs.js';
import { policyExplainVerb } from '../../../src/cli/verbs/policy-explain.js';
import { policyShowVerb } from '../../../src/cli/verbs/policy-show.js';
import { pruneVerb } from '../../../src/cli/verbs/prune.js';
import { replayVerb } from '../../../src/cli/verbs/replay.js';
import { rmVerb } from '../../../src/cli/verbs/rm.js';
import { psVerb } from '../../../src/cli/verbs/ps.js';
import { runsVerb } from '../../../src/cli/verbs/runs.js';
import { stopVerb } from '../../../src/cli/verbs/stop.js';
import { validateVerb } from '../../../src/cli/verbs/validate.js';
import { checksByHand, verifyVerb } from '../../../src/cli/verbs/verify.js';
import { SjsError, type Digest, type RunRecord, type Sjs } from '../../../src/index.js';
import { makeRecord } from '../../support/records.js';
import { until } from '../../support/until.js';
import { memoryStream, runVerbWith } from './fake-context.js';

const hex = (digit: string): Digest => `sha256:${digit.repeat(64)}`;
/** On any machine, however slow, that is `just now`. */
const AHEAD = new Date(Date.now() + 3_600_000).toISOString();
const RUN = '01K5ZQ8V0000000000000000AA';

const contents: Record<string, string> = {
  [hex('1')]: 'out\n',
  [hex('2')]: 'err \x1b[2J\n',
  [hex('3')]: 'other\n',
};
const readContent = (digest: string): Promise<Readable> =>
  Promise.resolve(Readable.from([Buffer.from(contents[digest] ?? '')]));
const stream = (digest: Digest) => ({ digest, bytes: 4, truncated: false });
const record = {
  id: RUN,
  tag: 'sjs/job:1.0.0-111111111111',
  state: 'failed',
  exitCode: 3,
  signal: null,
  durationMs: 1234.6,
  createdAt: AHEAD,
  stdout: stream(hex('1')),
  stderr: stream(hex('2')),
} as unknown as RunRecord;

describe('runs', () => {
  const sjs: Partial<Sjs> = { listRuns: () => Promise.resolve([record]) };

  test('is a table', async () => {
    const { stdout } = await runVerbWith('runs', runsVerb, [], sjs);
    expect(stdout).toBe(
      [
        'RUN ID             TAG                          STATE    EXIT   DURATION   CREATED',
        '01K5ZQ8V00000000   sjs/job:1.0.0-111111111111   failed   3      1.235s     just now',
        '',
      ].join('\n'),
    );
  });

  test('says of a record that came from elsewhere that it did', async () => {
    const imported = { at: '2026-01-02T03:04:05.000Z' };
    const theirs: Partial<Sjs> = {
      listRuns: () => Promise.resolve([makeRecord({ imported })]),
    };
    for (const [name, verb] of [
      ['runs', runsVerb],
      ['ps', psVerb],
    ] as const) {
      expect((await runVerbWith(name, verb, [], theirs)).stdout).toContain(', imported');
    }
    const { stdout } = await runVerbWith('runs', runsVerb, ['--format', '{{.imported}}'], theirs);
    expect(stdout).toBe(`${JSON.stringify(imported)}\n`);
  });

  test('-q is ids alone, --json an array', async () => {
    expect((await runVerbWith('runs', runsVerb, ['-q'], sjs)).stdout).toBe(`${RUN}\n`);
    expect(JSON.parse((await runVerbWith('runs', runsVerb, ['--json'], sjs)).stdout)).toEqual([record]);
    expect((await runVerbWith('runs', runsVerb, ['--no-trunc'], sjs)).stdout).toContain(RUN);
  });

  test.each(['0', '-1', 'x', '1e3'])('-n %s is refused', async (number) => {
    await expect(runVerbWith('runs', runsVerb, [`--last=${number}`], sjs)).rejects.toMatchObject({
      code: 'USAGE',
    });
  });
});

/** A library with one run that wrote these pieces. */
const writing = (...pieces: readonly (readonly ['stdout' | 'stderr', string, isBacklog?: boolean])[]) =>
  ({
    findRun: () => Promise.resolve(record),
    async *readOutput() {
      for (const [stream, text, isBacklog = true] of pieces)
        yield await Promise.resolve({ stream, data: Buffer.from(text), isBacklog });
    },
  }) satisfies Partial<Sjs>;

describe('logs', () => {
  const sjs = writing(['stdout', 'out\n'], ['stderr', 'err \x1b[2J\n']);

  test('go to the stream they came from', async () => {
    expect(await runVerbWith('logs', logsVerb, [RUN], sjs)).toEqual({
      status: 0,
      stdout: 'out\n',
      stderr: 'err \x1b[2J\n',
    });
    expect(await runVerbWith('logs', logsVerb, ['--stdout', RUN], sjs)).toMatchObject({
      stdout: 'out\n',
      stderr: '',
    });
    expect(await runVerbWith('logs', logsVerb, ['--stderr', RUN], sjs)).toMatchObject({ stdout: '' });
  });

  test('are one document with --json, and a line each with -f', async () => {
    const { stdout } = await runVerbWith('logs', logsVerb, ['--json', RUN], sjs);
    expect(JSON.parse(stdout)).toEqual({ id: RUN, stdout: 'out\n', stderr: 'err \x1b[2J\n' });
    const followed = await runVerbWith('logs', logsVerb, ['--json', '-f', '--stdout', RUN], sjs);
    expect(followed.stdout).toBe(`${JSON.stringify({ id: RUN, stream: 'stdout', text: 'out\n' })}\n`);
  });

  test('--tail counts the lines of each stream that were there, and none that come', async () => {
    const long = writing(
      ['stdout', 'a\nb'],
      ['stderr', 'x\n'],
      ['stdout', '\nc\nd'],
      ['stdout', '\ne\nf\n', false],
    );
    const show = async (lines: string): Promise<string> =>
      (await runVerbWith('logs', logsVerb, ['-f', '--tail', lines, RUN], long)).stdout;
    expect(await show('2')).toBe('c\nd\ne\nf\n');
    expect(await show('0')).toBe('\ne\nf\n');
    expect(await show('all')).toBe('a\nb\nc\nd\ne\nf\n');
    await expect(show('x')).rejects.toMatchObject({ code: 'USAGE' });
  });

  test('--tail shows what was there before anything new comes', async () => {
    let release = (): void => undefined;
    const quiet = {
      ...sjs,
      async *readOutput() {
        yield { stream: 'stdout' as const, data: Buffer.from('a\nb\n'), isBacklog: true };
        yield { stream: 'stdout' as const, data: Buffer.alloc(0), isBacklog: false };
        await new Promise<void>((resolve) => (release = resolve));
      },
    };
    const stdout = memoryStream();
    const showing = runVerbWith('logs', logsVerb, ['-f', '--tail', '1', RUN], quiet, { stdout });
    await until('the tail is shown', () => Promise.resolve(stdout.text() === 'b\n'));
    release();
    await showing;
  });

  test('Ctrl-C leaves a log that goes on, without a word', async () => {
    const left = {
      ...sjs,
      async *readOutput() {
        yield { stream: 'stdout' as const, data: Buffer.from('a\n'), isBacklog: true };
        throw await Promise.resolve(new SjsError('ABORTED', 'stopped reading'));
      },
    };
    const shown = runVerbWith('logs', logsVerb, ['-f', RUN], left, { received: 'SIGINT' });
    expect(await shown).toEqual({ status: 130, stdout: 'a\n', stderr: '' });
    await expect(runVerbWith('logs', logsVerb, ['-f', RUN], left)).rejects.toMatchObject({ code: 'ABORTED' });
  });

  test('--since is a time for the library', async () => {
    let asked: Parameters<Sjs['readOutput']>[1];
    const readOutput: Sjs['readOutput'] = (_id, query) => {
      asked = query;
      return sjs.readOutput();
    };
    await runVerbWith('logs', logsVerb, ['--since', '2026-01-02T03:04:05Z', RUN], { ...sjs, readOutput });
    expect(asked).toEqual({ follow: false, sinceMs: Date.parse('2026-01-02T03:04:05Z') });
    await runVerbWith('logs', logsVerb, ['--since', '1d', RUN], { ...sjs, readOutput });
    expect(Math.abs((asked?.sinceMs ?? 0) - (Date.now() - 24 * 3_600_000))).toBeLessThan(60_000);
    await expect(runVerbWith('logs', logsVerb, ['--since', 'now', RUN], sjs)).rejects.toMatchObject({
      code: 'USAGE',
    });
  });

  test('of a sealed image name its newest run', async () => {
    const missing: Partial<Sjs> = {
      findRun: () => Promise.reject(new SjsError('RUN_NOT_FOUND', 'there is no run')),
      listRuns: ({ where } = {}) => Promise.resolve([record].filter((run) => where?.(run))),
    };
    await expect(runVerbWith('logs', logsVerb, ['job'], missing)).rejects.toMatchObject({
      next: expect.stringContaining(`sjs logs ${RUN}`),
    });
    await expect(runVerbWith('logs', logsVerb, ['other'], missing)).rejects.toMatchObject({
      message: 'there is no run',
    });
  });

  test('are harmless on a terminal, and the bytes with --raw', async () => {
    const hostile = writing(['stdout', '\x1b]0;x\x07\n']);
    const [shown, raw] = [memoryStream({ isTTY: true }), memoryStream({ isTTY: true })];
    await runVerbWith('logs', logsVerb, [RUN], hostile, { stdout: shown });
    expect(shown.text()).toBe('\\x1b]0;x\\x07\n');
    await runVerbWith('logs', logsVerb, ['--raw', RUN], hostile, { stdout: raw });
    expect(raw.text()).toBe('\x1b]0;x\x07\n');
  });
});

describe('replay', () => {
  const replayOf = (verdict: object, replay: Partial<RunRecord> = {}): Partial<Sjs> => ({
    readContent,
    replay: () =>
      Promise.resolve({
        original: record,
        replay: { ...record, id: '01K5ZQ8V0000000000000000BB', ...replay },
        verdict: { reproduced: true, differences: [], environment: [], notCompared: [], ...verdict },
      }),
  });

  test('says reproduced with both runs', async () => {
    expect(await runVerbWith('replay', replayVerb, [RUN], replayOf({}))).toMatchObject({
      status: 0,
      stdout: `reproduced: run ${RUN}, replayed as 01K5ZQ8V0000000000000000BB\n`,
    });
  });

  test('shows what differs, what could not be compared and what changed around it', async () => {
    const verdict = {
      reproduced: false,
      differences: [
        { field: 'exitCode', expected: 0, actual: 3 },
        { field: 'stdout', expected: stream(hex('1')), actual: stream(hex('3')) },
      ],
      notCompared: [{ field: 'stderr', reason: 'cut at the limit' }],
      environment: [{ field: 'engine.version', expected: '26.1', actual: '28.0' }],
    };
    const { status, stdout } = await runVerbWith(
      'replay',
      replayVerb,
      [RUN],
      replayOf(verdict, { stdout: stream(hex('3')) }),
    );
    expect(status).toBe(1);
    expect(stdout.split('\n').slice(1)).toEqual([
      '  exitCode was 0, now 3',
      '  stdout differs at line 1, byte 2:',
      '    - "out"',
      '    + "other"',
      '  stderr could not be compared: cut at the limit',
      '  engine.version was 26.1 and is now 28.0',
      '',
    ]);
  });

  test('is one document with --json', async () => {
    const { stdout } = await runVerbWith('replay', replayVerb, ['--json', RUN], replayOf({}));
    expect(JSON.parse(stdout)).toEqual({
      reproduced: true,
      differences: [],
      environment: [],
      notCompared: [],
      original: RUN,
      replay: '01K5ZQ8V0000000000000000BB',
    });
  });
});

describe('build', () => {
  const result = { tag: 'sjs/job:1.0.0-111111111111', seal: hex('1') } as Awaited<ReturnType<Sjs['build']>>;

  test('prints the tag alone', async () => {
    const { stdout } = await runVerbWith('build', buildVerb, ['job'], {
      build: () => Promise.resolve(result),
    });
    expect(stdout).toBe('sjs/job:1.0.0-111111111111\n');
  });

  test('--all builds what can be built, a line of JSON each', async () => {
    const { status, stdout, stderr } = await runVerbWith('build', buildVerb, ['--all', '--json'], {
      createBatch: () => ({}) as ReturnType<Sjs['createBatch']>,
      findSandboxes: () => Promise.resolve(['a/sandbox.yaml', 'b/sandbox.yaml']),
      build: (path) =>
        path.startsWith('a') ? Promise.reject(new SjsError('BASE_UNTRUSTED', 'no')) : Promise.resolve(result),
    });
    expect(status).toBe(4);
    expect(
      stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as unknown),
    ).toMatchObject([
      { file: 'a/sandbox.yaml', error: { code: 'BASE_UNTRUSTED' } },
      { file: 'b/sandbox.yaml', tag: result.tag },
    ]);
    expect(stderr).toContain('error[BASE_UNTRUSTED]: no');
    expect(stderr).toMatch(/^a +FAILED: BASE_UNTRUSTED$/m);
    expect(stderr).toMatch(/^b +built +sjs\/job:1\.0\.0-111111111111$/m);
  });

  test('refuses --frozen with --update, and a tree without sandboxes', async () => {
    await expect(runVerbWith('build', buildVerb, ['--frozen', '--update'], {})).rejects.toMatchObject({
      code: 'USAGE',
    });
    await expect(
      runVerbWith('build', buildVerb, ['--all'], {
        createBatch: () => ({}) as ReturnType<Sjs['createBatch']>,
        findSandboxes: () => Promise.reject(new SjsError('FILE_NOT_FOUND', 'none')),
      }),
    ).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
  });
});

test('validate checks every path, and says all of it at once', async () => {
  const sjs = {
    validate: (path: string) =>
      path === 'bad'
        ? Promise.reject(new SjsError('SANDBOX_INVALID', 'wrong'))
        : Promise.resolve({ file: `/x/${path}/sandbox.yaml`, sandbox: { name: path, version: null } }),
  } as unknown as Partial<Sjs>;
  const { status, stdout, stderr } = await runVerbWith(
    'validate',
    validateVerb,
    ['--json', 'bad', 'good'],
    sjs,
  );
  expect(status).toBe(2);
  expect(JSON.parse(stdout)).toMatchObject({
    valid: false,
    files: [
      { file: 'bad', valid: false, error: { code: 'SANDBOX_INVALID' } },
      { file: '/x/good/sandbox.yaml', valid: true, name: 'good' },
    ],
  });
  expect(stderr).toContain('error[SANDBOX_INVALID]');
});

describe('a target of inspect and rm', () => {
  const sjs: Partial<Sjs> = {
    findReceipt: () => Promise.resolve(null),
    findRun: (id) =>
      id === RUN || RUN.startsWith(id)
        ? Promise.resolve(record)
        : Promise.reject(new SjsError('RUN_NOT_FOUND', 'no run')),
    inspectImage: (target) => Promise.resolve({ target } as never),
    listRecords: () => Promise.resolve([]),
    removeRun: () => Promise.resolve(record),
    removeImage: (tag) =>
      tag === 'gone'
        ? Promise.reject(new SjsError('TARGET_NOT_FOUND', 'gone'))
        : Promise.resolve({ tag } as never),
  };

  test.each([
    ['01K5ZQ8V', RUN],
    [RUN, RUN],
    ['0123456', '0123456'],
    ['job', 'job'],
    ['sjs/job:1', 'sjs/job:1'],
  ])('%s is found by its form', async (target, found) => {
    const { stdout } = await runVerbWith('inspect', inspectVerb, [target], sjs);
    const document = JSON.parse(stdout) as { id?: string; target?: string };
    expect(document.id ?? document.target).toBe(found);
  });

  test('of which one is missing does not keep the others', async () => {
    const { status, stdout, stderr } = await runVerbWith(
      'rm',
      rmVerb,
      ['gone', '01K5ZQ8V', 'sjs/job:1'],
      sjs,
    );
    expect({ status, stdout }).toEqual({ status: 1, stdout: `${RUN}\nsjs/job:1\n` });
    expect(stderr).toContain('error[TARGET_NOT_FOUND]');
  });
});

describe('images', () => {
  const image = {
    name: 'job',
    tag: 'sjs/job:1-aaaaaaaaaaaa',
    seal: hex('a'),
    base: { image: 'registry.example.com/base/node', version: '24.2.0' },
    createdAt: AHEAD,
    isPresent: true,
    sizeBytes: 150_000_000,
  };
  const old = { ...image, name: 'old', tag: 'sjs/old:1', createdAt: '2001-01-01T00:00:00Z' };
  const sjs: Partial<Sjs> = {
    listImages: () => Promise.resolve([{ ...old, isPresent: false, sizeBytes: null }, image] as never),
  };
  const images = async (words: readonly string[] = [], columns?: number): Promise<string[]> => {
    const stdout = Object.assign(memoryStream(), columns !== undefined && { columns });
    const printed = await runVerbWith('images', imagesVerb, words, sjs, { stdout });
    return printed.stdout.trimEnd().split('\n');
  };

  test('are a table, newest first; what the engine lost is said to be', async () => {
    const [header, newest, oldest] = await images();
    expect(header).toMatch(/^TAG +SEAL +BASE +CREATED +SIZE$/);
    expect(newest).toBe(
      'sjs/job:1-aaaaaaaaaaaa   aaaaaaaaaaaa   registry.example.com/base/node:24.2.0   just now       143 MiB',
    );
    expect(oldest).toMatch(/ years ago +not in the engine$/);
  });

  test('fit the terminal, unless all of it is asked for', async () => {
    const lines = await images([], 90);
    expect(Math.max(...lines.map(({ length }) => length))).toBeLessThanOrEqual(90);
    expect(lines[1]).toMatch(/^sjs\/job:1-aaaaaaaaaaaa {3}aaaaaaaaaaaa {3}…\S*\/?node:24\.2\.0 /);
    expect((await images(['--no-trunc'], 40))[1]).toContain(
      `${hex('a')}   registry.example.com/base/node:24.2.0`,
    );
  });

  test('are tags, fields, or JSON when asked', async () => {
    expect(await images(['-q'])).toEqual([image.tag, old.tag]);
    expect(await images(['--format', '{{.Name}}\\t{{.sizeBytes}}'])).toEqual(['job\t150000000', 'old']);
    expect(JSON.parse((await images(['--json'])).join('\n'))).toHaveLength(2);
    expect(JSON.parse((await images(['--format', 'json'])).join('\n'))).toHaveLength(2);
    await expect(images(['--format', '{{.sizeByte}}'])).rejects.toMatchObject({
      next: expect.stringContaining('did you mean {{.sizeBytes}}?'),
    });
  });

  test.each(['job', 'sjs/job', image.tag])('of %s alone', async (wanted) => {
    expect(await images(['-q', wanted])).toEqual([image.tag]);
  });
});

describe('verify', () => {
  const found = {
    tag: 'sjs/job:1',
    seal: hex('1'),
    imageId: hex('2'),
    base: {
      image: '127.0.0.1:5000/base/node',
      digest: hex('3'),
      version: '24.2.0',
      signer: hex('4'),
      trustedBy: '/p.yaml:3',
      publicKey: '-----BEGIN PUBLIC KEY-----\nabc\n-----END PUBLIC KEY-----\n',
      keyless: null,
      trustedRoot: null,
      transparencyLog: 'required',
    },
    signature: null,
    unchecked: [],
  };

  test('names each link, and with --verbose how to check it by hand', async () => {
    const sjs = { verifyImage: () => Promise.resolve(found as never) };
    const { status, stdout, stderr } = await runVerbWith('verify', verifyVerb, ['job'], sjs);
    expect(status).toBe(0);
    expect(stdout.match(/^ok {2}/gm)).toHaveLength(5);
    expect([stdout.includes('docker'), stderr.includes('--verbose')]).toEqual([false, true]);
    const more = await runVerbWith('verify', verifyVerb, ['--verbose', 'job'], sjs);
    expect(more.stdout.startsWith(stdout)).toBe(true);
    expect(more.stdout).toContain(`--allow-insecure-registry 127.0.0.1:5000/base/node@${hex('3')}`);
    expect(more.stdout).toMatch(/^docker image inspect --format '.*' sjs\/job:1$/m);
  });

  test('says who signed, what is attested, and what was not checked', async () => {
    const signature = {
      repository: 'r.example.com/s/job',
      digest: hex('4'),
      signers: [{ name: hex('6'), publicKey: 'PEM', keyless: null, transparencyLog: 'required' }],
      trustedBy: ['/p.yaml:9'],
      attestations: ['slsaprovenance1', 'cyclonedx'],
      provenance: { finishedOn: '2026-01-01T00:00:00Z', builder: 'https://b.example.com', commit: 'c0ffee' },
      verifiedAt: null,
      trustedRoot: null,
      statementFile: null,
    };
    const { stdout } = await runVerbWith('verify', verifyVerb, ['--verbose', 'job'], {
      verifyImage: () => Promise.resolve({ ...found, signature, unchecked: ['the moon'] } as never),
    });
    expect(stdout).toContain(`by the key ${hex('6')}, whom /p.yaml:9 trusts`);
    expect(stdout).toContain(
      'made 2026-01-01T00:00:00Z by https://b.example.com, its folder said to be at commit c0ffee',
    );
    expect(stdout).toContain('unchecked  the moon');
    expect(stdout).toContain(`\ncosign verify --key signer.pub r.example.com/s/job@${hex('4')}\n`);
    expect(stdout).toContain('\ncosign verify-attestation --type cyclonedx --key signer.pub r.example.com');
  });

  test('says how a statement is checked without a registry, and hands over the trusted root', () => {
    const signer = {
      name: hex('6'),
      publicKey: '-----BEGIN PUBLIC KEY-----\nabc\n-----END PUBLIC KEY-----\n',
      keyless: null,
      transparencyLog: 'none',
    };
    const signature = {
      repository: 'sjs/job',
      digest: hex('4'),
      signers: [signer],
      attestations: ['slsaprovenance1'],
      verifiedAt: null,
      trustedRoot: null,
      statementFile: "/home/it's/statements/4.json",
    };
    const commands = checksByHand({ ...found, base: null, signature } as never);
    const digits = hex('4').slice('sha256:'.length);
    expect(commands.join('\n')).not.toMatch(/cosign verify(-attestation)? /);
    expect(commands).toContain(
      `cosign verify-blob-attestation --key signer.pub --insecure-ignore-tlog=true --type https://slsa.dev/provenance/v1 --trusted-root trusted-root.json --digest ${digits} --digestAlg sha256 --bundle '/home/it'\\''s/statements/4.json'`,
    );
    const keyless = {
      issuer: 'https://i.example',
      identity: 'a@b.example',
      identityPattern: null,
      caRoots: null,
    };
    const logged = { ...signer, publicKey: null, keyless, transparencyLog: 'required' };
    const asked = { ...signature, signers: [logged], trustedRoot: '{"root":1}' };
    const offline = checksByHand({ ...found, base: null, signature: asked } as never);
    // cosign 2 cannot check those without a file that they are about.
    expect(offline.filter((line) => line.startsWith('#'))).toEqual(['# with cosign 3:']);
    expect(offline.slice(0, 3)).toEqual([`cat > trusted-root.json <<'EOF'`, '{"root":1}', 'EOF']);
    const inRegistry = { ...asked, statementFile: null, repository: 'r.example.com/s/job' };
    expect(checksByHand({ ...found, base: null, signature: inRegistry } as never)).toContain(
      `cosign verify --certificate-oidc-issuer 'https://i.example' --certificate-identity 'a@b.example' --trusted-root trusted-root.json r.example.com/s/job@${hex('4')}`,
    );
  });

  test('hands over the key when it has it', () => {
    const publicKey = '-----BEGIN PUBLIC KEY-----\nabc\n-----END PUBLIC KEY-----\n';
    const commands = checksByHand({
      ...found,
      base: { ...found.base, image: 'r.example.com/b', publicKey, transparencyLog: 'none' },
    } as never);
    expect(commands.slice(0, 6)).toEqual([
      `cat > base.pub <<'EOF'`,
      '-----BEGIN PUBLIC KEY-----',
      'abc',
      '-----END PUBLIC KEY-----',
      'EOF',
      `cosign verify --key base.pub --insecure-ignore-tlog=true r.example.com/b@${hex('3')}`,
    ]);
  });
});

test('prune says what it removed', async () => {
  const sjs: Partial<Sjs> = {
    prune: () =>
      Promise.resolve({
        records: [RUN],
        contents: { count: 2, bytes: 2048 },
        images: [],
        packages: { count: 1, bytes: 512 },
        kept: [{ what: 'image', name: 'sjs/a:1', why: 'run X needs it' }],
      }),
  };
  expect(await runVerbWith('prune', pruneVerb, [], sjs)).toMatchObject({
    stdout: `run ${RUN}\n`,
    stderr: 'removed 1 run, 0 sealed images, 2 kept contents (2.0 KiB) and 1 cached package (512 B)\n',
  });
  expect(await runVerbWith('prune', pruneVerb, ['--dry-run'], sjs)).toMatchObject({
    stderr: expect.stringMatching(/^kept: image sjs\/a:1: run X needs it\nwould remove 1 run, /),
  });
});

test('doctor fails when something failed, and says how to mend it', async () => {
  const checks = [
    { name: 'node', status: 'ok', message: 'Node 24', next: null },
    { name: 'cosign', status: 'failed', message: 'cosign is missing', next: 'apt-get install cosign' },
  ] as const;
  const result = await runVerbWith('doctor', doctorVerb, [], {
    doctor: () => Promise.resolve({ isReady: false, checks }),
  });
  expect(result.status).toBe(1);
  expect(result.stdout).toBe(
    'ok       node: Node 24\nfailed   cosign: cosign is missing\n         next: apt-get install cosign\n',
  );
});

test('policy show has the values, policy explain where each comes from', async () => {
  const sjs: Partial<Sjs> = {
    explainPolicy: () =>
      Promise.resolve({
        digest: hex('5'),
        layers: [{ file: '/p.yaml', origin: 'operator' }],
        values: [
          { key: 'limits.memory', value: '1Gi', from: ['/p.yaml:3', '/q.yaml:9'] },
          { key: 'retention.age', value: '720h', from: [] },
        ],
      }),
  };
  expect((await runVerbWith('policy show', policyShowVerb, [], sjs)).stdout).toContain(
    'limits.memory   1Gi\n',
  );
  expect((await runVerbWith('policy explain', policyExplainVerb, [], sjs)).stdout).toBe(
    [
      'KEY             FROM          VALUE',
      'limits.memory   /p.yaml:3     1Gi',
      '                /q.yaml:9',
      'retention.age   the default   720h',
      '',
    ].join('\n'),
  );
});

test('base ls says why a registry did not answer', async () => {
  const base = {
    repository: 'r/base',
    trustedBy: '/p.yaml:3',
    transparencyLog: 'none',
    keyless: null,
    keys: [],
  } as const;
  const { stdout } = await runVerbWith('base ls', baseLsVerb, [], {
    listBases: () =>
      Promise.resolve([
        { ...base, versions: ['24.5.0', '24.4.0', '24.3.0', '24.2.0', '24.1.0'], error: null },
        { ...base, versions: null, error: 'r does not answer' },
        { ...base, versions: null, error: null },
      ]),
  });
  expect(stdout).toContain('24.5.0, 24.4.0, 24.3.0, 24.2.0, … 1 more');
  expect(stdout).toContain('r does not answer');
  expect(stdout).toContain('a pattern');
});

test.each([
  ['kill', killVerb, ['-9', RUN], 'write -s 9'],
  ['prune', pruneVerb, ['-f'], 'leave it out: sjs prune never asks; --dry-run says what it would remove'],
  ['stop', stopVerb, ['-1', RUN], 'sjs stop --help shows how'],
  ['export', exportVerb, ['job', '-'], 'name a file; one that is called - is ./-'],
  ['import', importVerb, ['-'], 'name a file; one that is called - is ./-'],
])("docker's habit at %s: nothing is done, and the way is said", async (name, verb, words, next) => {
  await expect(runVerbWith(name, verb, words, {})).rejects.toMatchObject({ code: 'USAGE', next });
});

test('images --tree shows what was rebased from what, and what each stands on', async () => {
  const make = (digit: string, from?: string): object => ({
    tag: `sjs/job:${digit.repeat(12)}`,
    name: 'job',
    seal: hex(digit),
    base: { image: 'r.example.com/node', version: `24.${digit}.0`, digest: hex(digit) },
    createdAt: `2026-01-0${digit}T00:00:00Z`,
    isPresent: true,
    ...(from !== undefined && { rebasedFrom: hex(from) }),
  });
  const all = [make('1'), make('2', '1'), make('3', '2'), make('4', '1'), make('5', '9')];
  const sjs = { listImages: () => Promise.resolve(all) } as unknown as Partial<Sjs>;
  const { stdout } = await runVerbWith('images', imagesVerb, ['--tree'], sjs);
  const on = (digit: string): string =>
    `sjs/job:${digit.repeat(12)}  on r.example.com/node:24.${digit}.0@sha256:${digit.repeat(12)}`;
  expect(stdout.split('\n')).toEqual([
    `${on('5')}  (from sha256:999999999999)`,
    on('1'),
    `├─ ${on('4')}`,
    `└─ ${on('2')}`,
    `   └─ ${on('3')}`,
    '',
  ]);
});
