import { execFile, execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { makeFolder, type ProcessResult } from './world.js';

/** git as a developer has it, whoever runs the tests. */
export function git(folder: string, ...args: string[]): string {
  return execFileSync('git', ['-c', 'user.name=dev', '-c', 'user.email=dev@example.com', ...args], {
    cwd: folder,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      PATH: process.env['PATH'] ?? '',
      HOME: folder,
      GIT_CONFIG_NOSYSTEM: '1',
      GIT_CONFIG_GLOBAL: '/dev/null',
    },
  }).trim();
}

/** A repository whose branch main has the files. */
export async function makeRepository(files: Readonly<Record<string, string>>): Promise<string> {
  const folder = await makeFolder(files);
  git(folder, 'init', '-q', '-b', 'main');
  commitAll(folder, 'first');
  return folder;
}

/** Commits what lies in the folder; returns the commit. */
export function commitAll(folder: string, message: string): string {
  git(folder, 'add', '-A');
  git(folder, 'commit', '-q', '--allow-empty', '-m', message);
  return git(folder, 'rev-parse', 'HEAD');
}

/** What an sjs that only answers prints for a verb: one document, or lines of them, and its exit status. */
export type Answers = Readonly<
  Record<string, { readonly code?: number; readonly documents: readonly unknown[] }>
>;

/** One call of it. */
export interface FakeCall {
  readonly words: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** The policy that it was given. */
  readonly policy: string | null;
  /** Real paths of what lies in the folder above the policy's. */
  readonly folders: readonly string[];
}

/** A program in sjs's place that answers from a list and keeps what it was asked. */
export async function makeFakeSjs(
  answers: Answers,
): Promise<{ readonly program: string; readonly calls: () => Promise<readonly FakeCall[]> }> {
  const folder = await makeFolder({
    'answers.json': JSON.stringify(answers),
    'calls.jsonl': '',
    'sjs.mjs': `import { appendFileSync, readdirSync, readFileSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
const words = process.argv.slice(2);
const at = words.indexOf('--policy');
const policy = at === -1 ? null : readFileSync(words[at + 1], 'utf8');
const top = at === -1 ? null : join(dirname(words[at + 1]), '..');
const folders = top === null ? [] : readdirSync(top).map((name) => realpathSync(join(top, name)));
const file = (name) => new URL(name, import.meta.url);
appendFileSync(file('calls.jsonl'), JSON.stringify({ words, env: process.env, policy, folders }) + '\\n');
const answers = JSON.parse(readFileSync(file('answers.json'), 'utf8'));
const { code = 0, documents } = answers[words.slice(0, 2).join(' ')] ?? answers[words[0]] ?? { code: 2, documents: [{ error: { code: 'USAGE', message: 'no answer for ' + words[0] } }] };
const text = words.includes('--json') ? documents.map((one) => JSON.stringify(one)).join('\\n') : 'Nothing changes.';
// The folder of what is compared is made anew each time.
console.log(text.replaceAll('$TO', words.find((word) => word.endsWith('/to')) ?? ''));
process.exitCode = code;
`,
  });
  return {
    program: join(folder, 'sjs.mjs'),
    calls: async () =>
      (await readFile(join(folder, 'calls.jsonl'), 'utf8'))
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line) as FakeCall),
  };
}

/** Runs gitops/ci.mjs over a repository with exactly this environment. */
export function runCi(
  folder: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<ProcessResult> {
  return new Promise((done) => {
    const child = execFile(
      process.execPath,
      [resolve('gitops/ci.mjs'), ...args],
      { cwd: folder, env: { PATH: process.env['PATH'] ?? '', HOME: tmpdir(), ...env }, timeout: 600_000 },
      (error, stdout, stderr) =>
        done({ code: error ? ((error.code as unknown as number) ?? 1) : 0, stdout, stderr }),
    );
    child.stdin?.end();
  });
}

/** The environment of a job of GitHub Actions for an event. */
export async function githubJob(
  folder: string,
  name: string,
  event: unknown,
): Promise<Record<string, string>> {
  const path = join(await makeFolder(), 'event.json');
  await writeFile(path, JSON.stringify(event));
  return {
    GITHUB_ACTIONS: 'true',
    GITHUB_EVENT_NAME: name,
    GITHUB_EVENT_PATH: path,
    GITHUB_WORKSPACE: folder,
    GITHUB_SHA: git(folder, 'rev-parse', 'HEAD'),
  };
}

/** The event of a pull request, of a fork where `from` is another repository. */
export const pullRequest = (base: string, from: string | null = 'owner/jobs') => ({
  repository: { full_name: 'owner/jobs', default_branch: 'main' },
  pull_request: {
    number: 7,
    base: { sha: base, ref: 'main', repo: { full_name: 'owner/jobs' } },
    head: { sha: 'x', repo: from === null ? null : { full_name: from } },
  },
});

/** A platform's API for the comments of one thread, in memory. */
export interface CommentApi {
  readonly url: string;
  readonly requests: { method: string; path: string; token: string; body: string }[];
  readonly comments: { id: number; body: string; user: { type: string }; system: boolean }[];
  stop(): Promise<void>;
}

/** Starts one; `refuse` is the status that a change of an existing comment is answered with. */
export async function startCommentApi(refuse?: number): Promise<CommentApi> {
  const requests: CommentApi['requests'] = [];
  const comments: CommentApi['comments'] = [];
  const server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      const { method = '', url = '', headers } = request;
      const text = Buffer.concat(parts).toString();
      const body = text === '' ? '' : (JSON.parse(text) as { body: string }).body;
      const token = String(headers.authorization ?? headers['private-token'] ?? '');
      requests.push({ method, path: url, token, body });
      const answer = (status: number, value: unknown): void => {
        response.writeHead(status, { 'content-type': 'application/json' });
        response.end(JSON.stringify(value));
      };
      const known = comments.find(({ id }) => url.endsWith(`/${id}`));
      if (method === 'GET') return answer(200, comments);
      if (method === 'POST') {
        comments.push({ id: 100 + comments.length, body, user: { type: 'Bot' }, system: false });
        return answer(201, { html_url: 'https://example.com/comment' });
      }
      if (!known || refuse !== undefined) return answer(refuse ?? 404, {});
      known.body = body;
      return answer(200, {});
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    comments,
    async stop() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}
