import { appendFile, mkdir, mkdtemp, readdir, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, isAbsolute, join, relative, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { codeQuality, formatFinding } from './annotate.mjs';
import { postComment } from './comment.mjs';
import { openRepository } from './git.mjs';
import { detectPlatform, findCommit, UsageError } from './platform.mjs';
import { isWithin, namesInside } from './process.mjs';
import { formatReport } from './report.mjs';
import { openSjs } from './sjs.mjs';
import { build, compareRights, compareSeals, policyCheck, publish, validate } from './steps.mjs';
import { logLine } from './text.mjs';

const EXIT = { validate: 10, policy: 11, build: 12, seal: 13, diff: 14, comment: 15, publish: 16 };
const LARGEST_POLICY = 256 * 1024;

/** Does all steps; returns the exit status. */
export async function runCi(options, env) {
  const root = await realpath(resolve(env.GITHUB_WORKSPACE || env.CI_PROJECT_DIR || '.'));
  const below = relative(root, resolve(root, options.path));
  if (!isWithin(resolve(root, options.path), root))
    throw new UsageError('the path lies outside of the repository');
  const [inside] = namesInside(env, root);
  if (inside !== undefined)
    throw new UsageError(
      `${inside} names a place in the repository: a change would say what the operator says`,
    );
  const platform = detectPlatform(env, options);
  const repository = openRepository(root, env);
  const head = await repository.commit('HEAD');
  if (head === null) throw new UsageError(`${root} is no git repository with a commit`);
  const against = await findCommit(platform.against, repository);
  const scratch = await mkdtemp(join(tmpdir(), 'sjs-ci-'));
  try {
    const policyAt = (await findCommit(platform.policyAt, repository)) ?? head;
    const policyFile = await findPolicy(options.policy, { root, repository, commit: policyAt, scratch });
    const program = options.sjs ?? fileURLToPath(new URL('../../dist/cli/main.cjs', import.meta.url));
    const files = (await repository.sandboxes(head, below)).map(({ path }) => path);
    const context = {
      root,
      below,
      repository,
      head,
      against,
      scratch,
      key: options.key,
      sandboxes: files.filter((path) => !path.endsWith('.lock')),
      sjs: openSjs({ program, root, env, policyFile, policyName: options.policy ?? '' }),
    };
    const state = await runSteps(context, mayPublish(options, platform));
    return await report(state, { platform, options, env, context });
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** Whether to push and sign; says why not. */
function mayPublish({ publish: isAsked }, { kind, isFork, isMain }) {
  if (!isAsked) return false;
  if (isMain && !isFork) return true;
  const why = isFork ? 'this is the change of a fork' : 'this is not the main branch';
  console.error(logLine(`nothing is pushed or signed: ${why}${kind === 'terminal' ? '' : ` (${kind})`}`));
  return false;
}

/**
 * One step after the other. What does not depend on one that failed is done all the same: a reviewer sees which rights
 * are asked for above all when the policy refuses them.
 */
async function runSteps(context, isPublishing) {
  const state = { results: [], findings: [], builds: [], diff: null };
  const step = async (name, isPossible, work) => {
    if (!isPossible) return void state.results.push({ step: name, outcome: 'skipped', detail: '' });
    let made;
    try {
      made = await work();
    } catch (error) {
      made = { findings: [{ level: 'error', step: name, message: error.message }], detail: '' };
    }
    state.findings.push(...made.findings);
    const hasFailed = made.findings.some(({ level }) => level === 'error');
    state.results.push({ step: name, outcome: hasFailed ? 'failed' : 'ok', detail: made.detail ?? '' });
    return hasFailed ? undefined : made;
  };
  const isThere = context.sandboxes.length > 0;
  const valid = await step('validate', isThere, () => validate(context));
  const allowed = await step('policy', valid, () => policyCheck(context));
  const built = await step('build', allowed, () => build(context));
  state.builds = built?.builds ?? [];
  const compared = await step('seal', built, () => compareSeals(context, state.builds));
  const diff = await step('diff', context.against !== null, () => compareRights(context));
  state.diff = diff?.markdown ?? null;
  if (isPublishing) await step('publish', compared, () => publish(context, state.builds));
  return state;
}

/**
 * The policy: of the target branch when it lies in the repository, so that no change is judged by what it says itself.
 * Null when none is named: then the machine's own alone are in force.
 */
async function findPolicy(given, { root, repository, commit, scratch }) {
  if (given === undefined) return null;
  if (isAbsolute(given)) {
    const file = await realpath(given).catch(() => {
      throw new UsageError(`there is no policy ${given}`);
    });
    if (!isWithin(file, root)) return file;
    throw new UsageError(
      'the policy would be the one of the change itself: name it by its path in the repository',
    );
  }
  const path = relative(root, resolve(root, given));
  if (!isWithin(resolve(root, given), root))
    throw new UsageError('the policy lies outside of the repository: name it by its whole path');
  const bytes = await repository.readFile(commit, path, LARGEST_POLICY);
  if (bytes === null) throw new UsageError(`the target branch has no policy ${path}: commit it there first`);
  return layPolicy(path, bytes, { root, scratch });
}

/**
 * Writes it to a folder of ours, where all that lies beside it, and beside the folders above it, is that of the checkout:
 * its waivers are for folders there.
 */
async function layPolicy(path, bytes, { root, scratch }) {
  let [folder, ours] = [root, join(scratch, 'policy')];
  for (const part of path.split(sep)) {
    await mkdir(ours);
    const others = (await readdir(folder).catch(() => [])).filter((name) => name !== part);
    await Promise.all(others.map((name) => symlink(join(folder, name), join(ours, name))));
    [folder, ours] = [join(folder, part), join(ours, part)];
  }
  await writeFile(ours, bytes, { mode: 0o600 });
  return ours;
}

async function report(state, { platform, options, env, context }) {
  const markdown = formatReport(state, context);
  if (platform.request !== null && platform.request.token !== null) {
    try {
      await postComment(platform.kind, platform.request, markdown);
    } catch (error) {
      state.findings.push({ level: 'error', step: 'comment', message: error.message });
      state.results.push({ step: 'comment', outcome: 'failed', detail: '' });
    }
  } else if (platform.isFork) {
    console.error(
      logLine('no comment: the change of a fork has no right to write here; the report is below'),
    );
  }
  for (const finding of state.findings) console.log(formatFinding(finding, platform.kind));
  for (const { step, outcome, detail } of state.results)
    console.log(logLine(`${step}: ${outcome}${detail && `, ${detail}`}`));
  if (env.GITHUB_STEP_SUMMARY && platform.kind === 'github')
    await appendFile(env.GITHUB_STEP_SUMMARY, `${markdown}\n`);
  if (env.GITHUB_OUTPUT && platform.kind === 'github') {
    // One line of JSON: no line break in it can begin another output.
    await appendFile(env.GITHUB_OUTPUT, `results=${JSON.stringify(summary(state))}\n`);
  }
  if (options.report) {
    const file = join(context.root, basename(options.report));
    // What lies there came with the repository, and may be a link.
    await rm(file, { force: true });
    await writeFile(file, JSON.stringify(codeQuality(state.findings)), { flag: 'wx' });
  }
  const failed = state.results.find(({ outcome }) => outcome === 'failed');
  return failed === undefined ? 0 : EXIT[failed.step];
}

const summary = ({ results, builds }) => ({
  steps: Object.fromEntries(results.map(({ step, outcome }) => [step, outcome])),
  sandboxes: builds.map(({ file, tag, seal, published }) => ({
    file,
    tag,
    seal,
    published: published ?? null,
  })),
});
