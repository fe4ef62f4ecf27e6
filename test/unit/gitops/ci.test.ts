import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { chmod, lstat, mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import {
  commitAll,
  git,
  githubJob,
  makeFakeSjs,
  makeRepository,
  pullRequest,
  runCi,
  startCommentApi,
  type Answers,
  type CommentApi,
} from '../../support/ci-job.js';
import { cleanFolders, makeFolder, sandboxYaml } from '../../support/world.js';

cleanFolders();

const SEAL = `sha256:${'a'.repeat(64)}`;
const TAG = 'sjs/job:1.0.0-aaaaaaaaaaaa';
const REFERENCE = `registry.example.com/sandboxes/job@sha256:${'b'.repeat(64)}`;
const TOKEN = 'ghs_secret';

/** What sjs answers when all is well: one sandbox, which the registry does not have. */
const FINE: Answers = {
  validate: { documents: [{ valid: true, files: [{ file: 'job/sandbox.yaml', valid: true }] }] },
  'policy check': { documents: [{ files: [] }] },
  build: { documents: [{ file: 'job/sandbox.yaml', name: 'job', version: '1.0.0', tag: TAG, seal: SEAL }] },
  published: {
    documents: [{ found: null, others: [] }],
  },
  'diff --all': { documents: [{ path: 'job', what: 'same', rights: [] }] },
  push: { documents: [{ reference: REFERENCE }] },
};

const failure = (code: string, message: string, location: object | null = null) => ({
  error: { code, message, cause: null, next: null, location, problems: [] },
});

let folder: string;
let base: string;
beforeEach(async () => {
  folder = await makeRepository({
    'job/sandbox.yaml': sandboxYaml('job'),
    'job/index.js': '',
    'policies/ci.yaml': 'old policy\n',
  });
  base = git(folder, 'rev-parse', 'HEAD');
  await writeFile(
    join(folder, 'job/sandbox.yaml'),
    sandboxYaml('job', '  resources: { pids: 64 }\n  permissions: { worker: true }\n'),
  );
  commitAll(folder, 'more rights');
});

/** The job of a pull request, with the API to comment by. */
async function pull(
  answers: Answers,
  api: CommentApi | null,
  env: Record<string, string> = {},
  args: string[] = [],
) {
  const sjs = await makeFakeSjs({ ...FINE, ...answers });
  const job = await githubJob(folder, 'pull_request', pullRequest(base));
  const result = await runCi(folder, ['--sjs', sjs.program, ...args], {
    ...job,
    ...(api && { GITHUB_API_URL: api.url, GITHUB_TOKEN: TOKEN }),
    ...env,
  });
  return { ...result, calls: await sjs.calls() };
}

const verbs = (calls: readonly { words: readonly string[] }[]): string[] =>
  calls.map(({ words }) => words[0] ?? '');

describe('the steps', () => {
  test('all are done in their order, nothing is published, and the outcome is said', async () => {
    const { code, stdout, calls } = await pull({}, null);
    expect({ code, stdout }).toEqual({
      code: 0,
      stdout: [
        'sjs-ci: validate: ok, 1 sandbox',
        'sjs-ci: policy: ok, 1 sandbox',
        `sjs-ci: build: ok, ${TAG}`,
        'sjs-ci: seal: ok, 0 of 1 published and the same',
        'sjs-ci: diff: ok, 0 widened rights',
        '',
      ].join('\n'),
    });
    expect(calls.map(({ words }) => words.filter((word) => !word.startsWith('/')).join(' '))).toEqual([
      'validate ./job/sandbox.yaml --json',
      'policy check ./job/sandbox.yaml --json',
      'build --all --frozen ./ --json',
      `published ${TAG} --json`,
      'diff --all --json',
      'diff --all --format markdown --quiet',
    ]);
  });

  const place = (line: number, column: number) => ({ file: '/', line, column });
  const failures: [string, number, Answers, string[]][] = [
    [
      'validate',
      10,
      { validate: { code: 2, documents: [failure('SANDBOX_INVALID', 'bad', place(3, 5))] } },
      ['validate', 'diff', 'diff'],
    ],
    [
      'policy',
      11,
      { 'policy check': { code: 4, documents: [failure('POLICY_VIOLATION', 'no', place(7, 1))] } },
      ['validate', 'policy', 'diff', 'diff'],
    ],
    [
      'build',
      12,
      { build: { code: 2, documents: [failure('LOCK_OUTDATED', 'stale')] } },
      ['validate', 'policy', 'build', 'diff', 'diff'],
    ],
    [
      'seal',
      13,
      { published: { code: 5, documents: [failure('REGISTRY_UNREACHABLE', 'gone')] } },
      ['validate', 'policy', 'build', 'published', 'diff', 'diff'],
    ],
    [
      'diff',
      14,
      { 'diff --all': { code: 2, documents: [failure('LOCK_INVALID', 'no lock')] } },
      ['validate', 'policy', 'build', 'published', 'diff', 'diff'],
    ],
  ];
  test.each(failures)(
    '%s fails with %i, and the rights are compared all the same',
    async (step, code, answers, asked) => {
      for (const answer of Object.values(answers)) {
        for (const document of answer.documents as ReturnType<typeof failure>[]) {
          if (document.error.location)
            Object.assign(document.error.location, { file: join(folder, 'job/sandbox.yaml') });
        }
      }
      const result = await pull(answers, null);
      expect(result.code).toBe(code);
      expect(result.stdout).toContain(`sjs-ci: ${step}: failed`);
      expect(result.stdout).toMatch(new RegExp(`^::error .*title=sjs ${step}%3A [A-Z_]+::`, 'm'));
      expect(verbs(result.calls)).toEqual(asked);
    },
  );

  test('a problem is shown at its line, each of several on its own', async () => {
    const at = (line: number, message: string) => ({
      message,
      location: { file: join(folder, 'job/sandbox.yaml'), line, column: 3 },
    });
    const error = {
      ...failure('SANDBOX_INVALID', 'two problems').error,
      problems: [at(2, 'one'), at(4, 'other')],
    };
    const { stdout } = await pull({ validate: { code: 2, documents: [{ error }] } }, null);
    expect(stdout.split('\n').slice(0, 2)).toEqual([
      '::error file=job/sandbox.yaml,line=2,col=3,title=sjs validate%3A SANDBOX_INVALID::one',
      '::error file=job/sandbox.yaml,line=4,col=3,title=sjs validate%3A SANDBOX_INVALID::other',
    ]);
  });

  test('an sjs that prints no JSON, or is not there, is a failure', async () => {
    const { program } = await makeFakeSjs({});
    await writeFile(program, 'console.log("all fine")');
    const job = await githubJob(folder, 'pull_request', pullRequest(base));
    expect(await runCi(folder, ['--sjs', program], job)).toMatchObject({ code: 10 });
    expect(await runCi(folder, ['--sjs', join(folder, 'none.mjs')], job)).toMatchObject({ code: 10 });
  });
});

const push = { repository: { full_name: 'owner/jobs', default_branch: 'main' } };

describe('the comment', () => {
  let api: CommentApi;
  beforeEach(async () => {
    api = await startCommentApi();
  });
  afterEach(() => api.stop());

  test('is posted once and changed from then on; nobody else’s is touched', async () => {
    api.comments.push({ id: 1, body: '<!-- sjs-gitops -->\nmine', user: { type: 'User' }, system: false });
    expect(await pull({}, api)).toMatchObject({ code: 0 });
    expect(
      await pull({ build: { code: 2, documents: [failure('LOCK_OUTDATED', 'stale')] } }, api),
    ).toMatchObject({ code: 12 });
    expect(api.requests.map(({ method, path }) => `${method} ${path}`)).toEqual([
      'GET /repos/owner/jobs/issues/7/comments?per_page=100&page=1',
      'POST /repos/owner/jobs/issues/7/comments',
      'GET /repos/owner/jobs/issues/7/comments?per_page=100&page=1',
      'PATCH /repos/owner/jobs/issues/comments/101',
    ]);
    expect(new Set(api.requests.map(({ token }) => token))).toEqual(new Set([`Bearer ${TOKEN}`]));
    expect(api.comments.map(({ body }) => body.includes('LOCK_OUTDATED'))).toEqual([false, true]);
    expect(api.comments[1]?.body).toContain('Nothing changes.');
  });

  test('that cannot be changed is posted anew, and one that cannot be posted fails with 15', async () => {
    const refusing = await startCommentApi(403);
    try {
      refusing.comments.push({ id: 5, body: '<!-- sjs-gitops -->', user: { type: 'Bot' }, system: false });
      expect(await pull({}, refusing)).toMatchObject({ code: 0 });
      expect(refusing.comments.length).toBe(2);
    } finally {
      await refusing.stop();
    }
    const result = await pull({}, refusing);
    expect(result.code).toBe(15);
    expect(result.stdout + result.stderr).not.toContain(TOKEN);
  });

  test('shows foreign text in code alone', async () => {
    const message = '@everyone `` <img src=x> | [click](https://example.com)\n# heading';
    await pull({ validate: { code: 2, documents: [failure('SANDBOX_INVALID', message)] } }, api);
    const line = api.comments[0]?.body.split('\n').find((one) => one.includes('everyone'));
    expect(line).toBe(
      '- **error** validate `SANDBOX_INVALID`: ```@everyone `` <img src=x> ¦ [click](https://example.com) # heading```',
    );
  });

  test('of GitLab is a note, and the findings are a Code Quality report', async () => {
    const sjs = await makeFakeSjs({
      ...FINE,
      validate: {
        code: 2,
        documents: [failure('SANDBOX_INVALID', 'bad', { file: join(folder, 'job/sandbox.yaml'), line: 3 })],
      },
    });
    git(folder, 'update-ref', 'refs/sjs/target', base);
    // What lies at the report's place came with the repository.
    const victim = join(await makeFolder({ victim: 'kept' }), 'victim');
    await symlink(victim, join(folder, 'report.json'));
    const job = {
      GITLAB_CI: 'true',
      CI_PROJECT_DIR: folder,
      CI_PROJECT_ID: '3',
      CI_MERGE_REQUEST_IID: '9',
      CI_MERGE_REQUEST_PROJECT_ID: '3',
      CI_MERGE_REQUEST_SOURCE_PROJECT_ID: '3',
      CI_API_V4_URL: api.url,
      SJS_CI_TOKEN: TOKEN,
      SJS_CI_REPORT: 'report.json',
    };
    for (const expected of [
      'POST /projects/3/merge_requests/9/notes',
      'PUT /projects/3/merge_requests/9/notes/100',
    ]) {
      expect(await runCi(folder, ['--sjs', sjs.program], job)).toMatchObject({ code: 10 });
      expect(api.requests.map(({ method, path }) => `${method} ${path}`).at(-1)).toBe(expected);
    }
    expect(api.requests[0]?.token).toBe(TOKEN);
    expect(await readFile(victim, 'utf8')).toBe('kept');
    expect((await lstat(join(folder, 'report.json'))).isFile()).toBe(true);
    expect(JSON.parse(await readFile(join(folder, 'report.json'), 'utf8'))).toEqual([
      {
        description: 'bad',
        check_name: 'sjs validate SANDBOX_INVALID',
        fingerprint: expect.stringMatching(/^[0-9a-f]{64}$/),
        severity: 'critical',
        location: { path: 'job/sandbox.yaml', lines: { begin: 3 } },
      },
    ]);
    // A fork's merge request in the project of its target: the token is there, and not used.
    api.requests.length = 0;
    const fork = await runCi(folder, ['--sjs', sjs.program], {
      ...job,
      CI_MERGE_REQUEST_SOURCE_PROJECT_ID: '4',
    });
    expect({ code: fork.code, asked: api.requests }).toEqual({ code: 10, asked: [] });
  });

  test('of a fork is none; and a fork neither pushes nor signs, whatever it was given', async () => {
    for (const from of ['stranger/jobs', null]) {
      const sjs = await makeFakeSjs(FINE);
      const job = await githubJob(folder, 'pull_request', pullRequest(base, from));
      const summary = join(await makeFolder(), 'summary.md');
      const result = await runCi(folder, ['--sjs', sjs.program, '--publish'], {
        ...job,
        GITHUB_API_URL: api.url,
        GITHUB_TOKEN: TOKEN,
        GITHUB_STEP_SUMMARY: summary,
      });
      expect({ code: result.code, asked: api.requests }).toEqual({ code: 0, asked: [] });
      expect(result.stderr).toContain('nothing is pushed or signed: this is the change of a fork');
      expect(verbs(await sjs.calls())).not.toContain('push');
      expect(await readFile(summary, 'utf8')).toContain('Nothing changes.');
    }
  });

  test('of a merge queue is none; it is judged by the policy and beside the rights of what it is merged onto', async () => {
    await writeFile(join(folder, 'policies/ci.yaml'), 'policy of the change\n');
    commitAll(folder, 'own policy');
    const sjs = await makeFakeSjs(FINE);
    const event = { ...push, merge_group: { base_sha: base, head_sha: git(folder, 'rev-parse', 'HEAD') } };
    const job = await githubJob(folder, 'merge_group', event);
    const { code, stderr } = await runCi(
      folder,
      ['--sjs', sjs.program, '--policy', 'policies/ci.yaml', '--publish'],
      { ...job, GITHUB_REF: 'refs/heads/main', GITHUB_API_URL: api.url, GITHUB_TOKEN: TOKEN },
    );
    expect({ code, asked: api.requests }).toEqual({ code: 0, asked: [] });
    expect(stderr).toContain('nothing is pushed or signed: this is not the main branch');
    const calls = await sjs.calls();
    expect(verbs(calls)).toContain('diff');
    expect(new Set(calls.map(({ policy }) => policy))).toEqual(new Set(['old policy\n']));
  });

  test('events that give a fork the rights of the repository are refused', async () => {
    for (const name of ['pull_request_target', 'workflow_run']) {
      const job = await githubJob(folder, name, pullRequest(base));
      const sjs = await makeFakeSjs(FINE);
      expect(await runCi(folder, ['--sjs', sjs.program], job)).toMatchObject({ code: 2 });
      expect(await sjs.calls()).toEqual([]);
    }
  });
});

describe('the main branch', () => {
  const secrets = {
    GITHUB_TOKEN: TOKEN,
    COSIGN_PASSWORD: 'password',
    ACTIONS_ID_TOKEN_REQUEST_TOKEN: 'oidc',
    ACTIONS_ID_TOKEN_REQUEST_URL: 'https://example.com',
    VAULT_TOKEN: 'vault',
    VAULT_ADDR: 'https://vault.example.com',
    AWS_SECRET_ACCESS_KEY: 'key service',
    GOOGLE_APPLICATION_CREDENTIALS: '/runner/key.json',
    NODE_AUTH_TOKEN: 'packages',
    NPM_CONFIG_USERCONFIG: '/runner/.npmrc',
    npm_config_registry: 'https://example.com/of-the-repository',
  };

  const publish = async (
    answers: Answers,
    ref: string,
    args: string[] = ['--publish'],
    env: Record<string, string> = {},
  ) => {
    const sjs = await makeFakeSjs({ ...FINE, ...answers });
    const job = { ...(await githubJob(folder, 'push', push)), ...secrets, ...env, GITHUB_REF: ref };
    const output = join(await makeFolder(), 'output');
    const result = await runCi(folder, ['--sjs', sjs.program, ...args], { ...job, GITHUB_OUTPUT: output });
    return { ...result, calls: await sjs.calls(), output: await readFile(output, 'utf8') };
  };

  test('is pushed and signed, and that step alone has what signs', async () => {
    const { code, calls, output } = await publish({}, 'refs/heads/main', [
      '--publish',
      '--key',
      'awskms:///alias/sjs',
    ]);
    expect(code).toBe(0);
    expect(calls.at(-1)?.words).toEqual(['push', TAG, '--sign', '--key', 'awskms:///alias/sjs', '--json']);
    const seen = (names: Readonly<Record<string, string>>) =>
      Object.keys(secrets).filter((name) => name in names);
    const { npm_config_registry: ofTheRepository, ...own } = secrets;
    expect(ofTheRepository).toBeDefined();
    expect(seen(calls.at(-1)?.env ?? {})).toEqual(Object.keys(own));
    for (const { words, env } of calls.slice(0, -1)) {
      const reading = words[0] === 'build' ? ['NODE_AUTH_TOKEN'] : [];
      expect(seen(env)).toEqual([...reading, 'NPM_CONFIG_USERCONFIG']);
    }
    expect(JSON.parse(output.replace('results=', ''))).toMatchObject({
      steps: { publish: 'ok' },
      sandboxes: [{ tag: TAG, seal: SEAL, published: REFERENCE }],
    });
  });

  test.each([
    [
      'a helper for a registry',
      { credHelpers: { 'r.example': 'ecr-login' } },
      ['build', 'published', 'push'],
    ],
    ['a store of passwords', { credsStore: 'cloud' }, ['build', 'published', 'push']],
    ['neither', { auths: {}, credHelpers: {} }, ['push']],
  ])(
    'with %s in Docker’s configuration, its variables reach who asks a registry',
    async (_what, config, expected) => {
      const docker = await makeFolder({ 'config.json': JSON.stringify(config) });
      const { calls } = await publish({}, 'refs/heads/main', ['--publish'], { DOCKER_CONFIG: docker });
      const having = (name: string) => verbs(calls.filter(({ env }) => name in env));
      for (const name of ['AWS_SECRET_ACCESS_KEY', 'GOOGLE_APPLICATION_CREDENTIALS'])
        expect(having(name)).toEqual(expected);
      for (const name of ['VAULT_ADDR', 'VAULT_TOKEN', 'COSIGN_PASSWORD'])
        expect(having(name)).toEqual(['push']);
    },
  );

  test('keyless without a key; another branch, and without --publish, not at all', async () => {
    expect((await publish({}, 'refs/heads/main')).calls.at(-1)?.words).toEqual([
      'push',
      TAG,
      '--sign',
      '--json',
    ]);
    expect(verbs((await publish({}, 'refs/heads/other')).calls)).not.toContain('push');
    expect(verbs((await publish({}, 'refs/heads/main', [])).calls)).not.toContain('push');
  });

  test('a push that fails ends with 16, and nothing that failed before is published', async () => {
    expect(
      await publish({ push: { code: 1, documents: [failure('COSIGN_FAILED', 'no')] } }, 'refs/heads/main'),
    ).toMatchObject({ code: 16 });
    const refused = await publish(
      { 'policy check': { code: 4, documents: [failure('POLICY_VIOLATION', 'no')] } },
      'refs/heads/main',
    );
    expect(refused.code).toBe(11);
    expect(verbs(refused.calls)).not.toContain('push');
  });

  const there = { published: { documents: [{ found: { reference: REFERENCE, seal: SEAL }, others: [] }] } };

  test('what the registry has must verify as the seal that was built; then it is not pushed again', async () => {
    const same = await publish({ ...there, verify: { documents: [{ seal: SEAL }] } }, 'refs/heads/main');
    expect(same.code).toBe(0);
    expect(verbs(same.calls)).toEqual(['validate', 'policy', 'build', 'published', 'verify']);
    const other = await publish(
      { ...there, verify: { documents: [{ seal: `sha256:${'c'.repeat(64)}` }] } },
      'refs/heads/main',
    );
    expect(other.code).toBe(13);
    expect(verbs(other.calls)).not.toContain('push');
    const forged = await publish(
      { ...there, verify: { code: 3, documents: [failure('SEAL_UNTRUSTED', 'no')] } },
      'refs/heads/main',
    );
    expect(forged.code).toBe(13);
  });

  test('what was pushed and not signed is finished', async () => {
    const unsigned = { ...there, verify: { code: 3, documents: [failure('SEAL_UNSIGNED', 'not signed')] } };
    const result = await publish(unsigned, 'refs/heads/main');
    expect(result.code).toBe(0);
    expect(verbs(result.calls).at(-1)).toBe('push');
  });

  test('a version that stands for another seal is said', async () => {
    const others = {
      published: { documents: [{ found: null, others: ['1.0.0-cccccccccccc'] }] },
    };
    expect((await publish(others, 'refs/heads/main')).stdout).toContain(
      '::warning file=job/sandbox.yaml,title=sjs seal::version 1.0.0 of job is published with another seal (1.0.0-cccccccccccc): bump metadata.version',
    );
  });
});

describe('the policy', () => {
  test('is the one of the target branch, whatever the change makes of it', async () => {
    await writeFile(join(folder, 'policies/ci.yaml'), 'wider policy\n');
    commitAll(folder, 'a wider policy');
    const { code, calls } = await pull({}, null, {}, ['--policy', 'policies/ci.yaml']);
    expect(code).toBe(0);
    expect(calls.map(({ policy }) => policy)).toEqual(calls.map(() => 'old policy\n'));
    // And the folders that its waivers are for are those of the checkout.
    for (const { folders } of calls) expect(folders).toContain(join(folder, 'job'));
    git(folder, 'checkout', '-q', '-b', 'deep', base);
    await mkdir(join(folder, 'ops/job'), { recursive: true });
    await mkdir(join(folder, 'ops/policies'));
    await writeFile(join(folder, 'ops/job/index.js'), '');
    await writeFile(join(folder, 'ops/policies/ci.yaml'), 'deep policy\n');
    const deep = commitAll(folder, 'deep');
    const below = await pull({}, null, {}, ['--policy', 'ops/policies/ci.yaml', '--against', deep]);
    expect(below.calls[0]).toMatchObject({ policy: 'deep policy\n' });
    expect(below.calls[0]?.folders).toContain(join(folder, 'ops/job'));
    git(folder, 'checkout', '-q', 'main');
    // The branch that GitHub tests is a merge: its first parent is the target, whatever the event says.
    git(folder, 'checkout', '-q', '-b', 'target', base);
    await writeFile(join(folder, 'policies/other.yaml'), 'newer policy\n');
    commitAll(folder, 'the target went on');
    git(folder, 'merge', '-q', '-m', 'merge', 'main');
    const merged = await pull({}, null, {}, ['--policy', 'policies/other.yaml']);
    expect(merged.calls[0]?.policy).toBe('newer policy\n');
  });

  test('what the operator says does not lie in the repository: home, npm’s configuration, certificates', async () => {
    const outside = join(await makeFolder({ npmrc: '' }), 'npmrc');
    await symlink(outside, join(folder, 'leads-out'));
    const beside = join(await makeFolder(), 'leads-in');
    await symlink(folder, beside);
    const cases: [string, string][] = [
      ['HOME', folder],
      ['NPM_CONFIG_USERCONFIG', '.npmrc'],
      ['NPM_CONFIG_GLOBALCONFIG', join(folder, 'leads-out')],
      ['NODE_EXTRA_CA_CERTS', join(beside, 'ca.pem')],
      ['SJS_HOME', join(folder, '.cache/sjs')],
      ['SJS_POLICY', join(folder, 'policies/ci.yaml')],
      ['DOCKER_CONFIG', beside],
    ];
    await writeFile(join(folder, 'ca.pem'), '');
    for (const [name, value] of cases) {
      const { code, calls, stderr } = await pull({}, null, { [name]: value });
      expect({ name, code, calls }).toEqual({ name, code: 2, calls: [] });
      expect(stderr).toContain(`${name} names a place in the repository`);
    }
    expect((await pull({}, null, { NPM_CONFIG_USERCONFIG: outside })).code).toBe(0);
  });

  test('a file outside of the repository counts as it is; one that is only in the change, or a link, does not', async () => {
    const outside = join(await makeFolder({ 'policy.yaml': 'of the machine\n' }), 'policy.yaml');
    expect((await pull({}, null, {}, ['--policy', outside])).calls[0]?.policy).toBe('of the machine\n');
    await symlink(outside, join(folder, 'policies/link.yaml'));
    await writeFile(join(folder, 'policies/new.yaml'), 'new policy\n');
    commitAll(folder, 'new policies');
    for (const policy of [
      'policies/new.yaml',
      join(folder, 'policies/ci.yaml'),
      '../policy.yaml',
      'policies/none.yaml',
    ]) {
      const { code, calls } = await pull({}, null, {}, ['--policy', policy]);
      expect({ policy, code, calls }).toEqual({ policy, code: 2, calls: [] });
    }
  });
});

describe('a hostile repository', () => {
  const HOSTILE = [
    'a\n::error::forged/sandbox.yaml',
    '##[command]x/sandbox.yaml',
    '-rf/sandbox.yaml',
    'b,line=1::x/sandbox.yaml',
    '\u001b]0;title\u0007/sandbox.yaml',
  ];

  test('no name and no text begins a workflow command or an option', async () => {
    for (const name of HOSTILE) {
      await mkdir(join(folder, name, '..'), { recursive: true });
      await writeFile(join(folder, name), sandboxYaml('x'));
    }
    commitAll(folder, 'names');
    const words = 'x\n::set-output name=a::b\n##[add-mask]y ##vso[task] %0A::error::z';
    const files = HOSTILE.map((name) => ({
      ...failure('SANDBOX_INVALID', words, { file: join(folder, name), line: 1, column: 1 }),
      file: join(folder, name),
    }));
    const { code, stdout, stderr, calls } = await pull(
      { validate: { code: 2, documents: [{ valid: false, files }] } },
      null,
    );
    expect(code).toBe(10);
    const lines = `${stdout}${stderr}`.split('\n').filter(Boolean);
    expect(lines.filter((line) => !/^(?:::error file=|sjs-ci: )/.test(line))).toEqual([]);
    expect(lines.filter((line) => line.startsWith('::')).length).toBe(HOSTILE.length);
    expect(lines.filter((line) => ['##[', '##vso[', '\u001b'].some((one) => line.includes(one)))).toEqual([]);
    // As the runner reads them (actions/runner, ActionCommand.cs): the file is one property, and only one.
    const unescape = (text: string): string =>
      text
        .replace(/%2C/g, ',')
        .replace(/%3A/g, ':')
        .replace(/%0A/g, '\n')
        .replace(/%0D/g, '\r')
        .replace(/%25/g, '%');
    const read = lines.flatMap((line) => /^::error ([^:]*)::(.*)$/.exec(line)?.[1]?.split(',') ?? []);
    const named = read.filter((part) => part.startsWith('file=')).map((part) => unescape(part.slice(5)));
    expect(named).toContain('b,line=1::x/sandbox.yaml');
    expect(read.filter((part) => part.startsWith('line='))).toEqual(HOSTILE.map(() => 'line=1'));
    for (const word of calls[0]?.words.slice(1, -1) ?? []) expect(word).toMatch(/^\.\//);
  });

  test('nothing that it brings along is executed: hooks, fsmonitor, drivers, filters, programs, .npmrc', async () => {
    const pwned = join(await makeFolder(), 'pwned');
    const script = join(folder, 'evil.sh');
    await writeFile(script, `#!/bin/sh\ntouch ${pwned}\ncat\n`);
    await chmod(script, 0o755);
    await writeFile(join(folder, '.gitattributes'), '* diff=evil filter=evil\n');
    await writeFile(join(folder, '.npmrc'), `node-options=--require ${script}\nscript-shell=${script}\n`);
    commitAll(folder, 'attributes');
    for (const name of ['node_modules/.bin/git', 'node_modules/.bin/node', '.git/hooks/post-index-change']) {
      await mkdir(join(folder, name, '..'), { recursive: true });
      await writeFile(join(folder, name), `#!/bin/sh\ntouch ${pwned}\n`);
      await chmod(join(folder, name), 0o755);
    }
    const settings: [string, string][] = [
      ['core.fsmonitor', script],
      ['core.hooksPath', join(folder, '.git/hooks')],
      ['core.pager', script],
      ['diff.external', script],
      ['diff.evil.textconv', script],
      ['diff.evil.command', script],
      ['filter.evil.smudge', script],
      ['filter.evil.clean', script],
      ['core.sshCommand', script],
    ];
    for (const [name, value] of settings) git(folder, 'config', name, value);
    const path = ['node_modules/.bin', join(folder, 'node_modules/.bin'), process.env['PATH']].join(':');
    const { code, stdout } = await pull({}, null, {
      PATH: path,
      NODE_PATH: folder,
      GIT_EXTERNAL_DIFF: script,
    });
    expect({ code, stdout: stdout.split('\n')[0] }).toEqual({
      code: 0,
      stdout: 'sjs-ci: validate: ok, 1 sandbox',
    });
    expect(existsSync(pwned)).toBe(false);

    // The same traps catch a git that is asked without care.
    execFileSync('git', ['diff', base, 'HEAD'], { cwd: folder, stdio: 'ignore' });
    expect(existsSync(pwned)).toBe(true);
  });

  test('only plain files that sjs would find are looked at, and only so large', async () => {
    await symlink('/etc/passwd', join(folder, 'job/sandbox.yml'));
    for (const name of ['.hidden/sandbox.yaml', 'a/node_modules/b/sandbox.yaml', 'c/sandbox.yaml.txt']) {
      await mkdir(join(folder, name, '..'), { recursive: true });
      await writeFile(join(folder, name), sandboxYaml('x'));
    }
    commitAll(folder, 'others');
    expect((await pull({}, null)).calls[0]?.words).toEqual(['validate', './job/sandbox.yaml', '--json']);
    await writeFile(join(folder, 'job/sandbox.yaml'), `# ${'x'.repeat(300_000)}`);
    commitAll(folder, 'large');
    const { code, stderr } = await pull({}, null);
    expect(code).toBe(1);
    expect(stderr).toContain('job/sandbox.yaml is larger than 262144 bytes');
  });
});

describe('widened rights', () => {
  test('are shown at the line that changed', async () => {
    const right = { right: 'permissions.worker', from: false, to: true, widened: true, tightened: false };
    const document = { path: 'job', what: 'changed', to: { file: '$TO/job/sandbox.yaml' }, rights: [right] };
    const { stdout, calls } = await pull({ 'diff --all': { code: 1, documents: [document] } }, null);
    expect(stdout).toContain('::warning file=job/sandbox.yaml,line=9,title=sjs diff%3A WIDENED::');
    const [from = '', to = ''] = calls.at(-1)?.words.filter((word) => word.startsWith('/')) ?? [];
    expect(from).toMatch(/from$/);
    expect(to).toMatch(/to$/);
    // What was compared is gone again.
    expect(existsSync(from)).toBe(false);
  });
});

test('what was not fetched is said', async () => {
  const job = await githubJob(folder, 'pull_request', pullRequest('0'.repeat(40)));
  const sjs = await makeFakeSjs(FINE);
  const { code, stderr } = await runCi(folder, ['--sjs', sjs.program], job);
  expect({ code, said: stderr.includes('fetch-depth: 2') }).toEqual({ code: 2, said: true });
  expect(readFileSync('docs/gitops.md', 'utf8')).toContain('fetch-depth: 2');
});

test('a comment that is too long ends at a line, and what is open in it is closed', async () => {
  const module: string = '../../../gitops/lib/comment.mjs';
  const { commentBody } = (await import(module)) as { commentBody: (markdown: string) => string };
  const line = `- \`${'@everyone '.repeat(20)}\``;
  const long = `<details>\n\n${`${line}\n`.repeat(400)}</details>`;
  const body = commentBody(long);
  expect(body.length).toBeLessThan(61_000);
  const shown = body.split('\n').filter((one) => one.includes('@everyone'));
  expect(new Set(shown)).toEqual(new Set([line]));
  expect(body).toMatch(/<\/details>\n\n… the rest stands in the log of the job\.$/);
  expect(commentBody('short')).toBe('<!-- sjs-gitops -->\nshort');
});
