import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { findingsOf } from './sjs.mjs';

const plural = (number, noun) => `${number} ${noun}${number === 1 ? '' : noun === 'sandbox' ? 'es' : 's'}`;

/** Whatever a file is called, no verb takes it for an option. */
const asPath = (path) => `./${path}`;

/** One document for one path, or one with all of them: every error in it. */
function errorsIn(document) {
  if (document.error) return [document];
  const several = document.files ?? document.targets ?? [];
  return several.filter(({ error }) => error);
}

async function checkFiles(step, words, { sjs, sandboxes, root }) {
  const { code, documents } = await sjs([...words, ...sandboxes.map(asPath)]);
  const errors = documents.flatMap(errorsIn);
  // What the policy refuses is said by the next step, with all that it refuses.
  const own = errors.filter(({ error }) => step === 'policy' || error.code !== 'POLICY_VIOLATION');
  const findings = own.flatMap((error) => findingsOf(step, error, root));
  if (code !== 0 && errors.length === 0) throw new Error(`sjs ${words.join(' ')} ended with ${code}`);
  return { findings, detail: plural(sandboxes.length, 'sandbox') };
}

/** Each sandbox.yaml against the schema. */
export const validate = (context) => checkFiles('validate', ['validate'], context);

/** Each sandbox.yaml against the policy in force. */
export const policyCheck = (context) => checkFiles('policy', ['policy', 'check'], context);

/** Builds all, exactly as locked. */
export async function build({ sjs, root, below }) {
  const words = ['build', '--all', '--frozen', asPath(below)];
  const { code, documents } = await sjs(words, { lines: true, needs: 'packages' });
  const failed = documents.filter(({ error }) => error);
  const findings = failed.flatMap((document) => findingsOf('build', document, root));
  const builds = documents
    .filter(({ tag }) => tag !== undefined)
    .map((one) => ({ ...one, file: relative(root, one.file) }));
  if (code !== 0 && findings.length === 0) throw new Error(`sjs build ended with ${code}`);
  return { findings, builds, detail: builds.map(({ tag }) => tag).join(', ') };
}

/**
 * What the registry has of each: under the same tag it must be the same seal, signed, with a provenance that says so. A
 * version that stands for another seal by now is said.
 */
export async function compareSeals({ sjs, root }, builds) {
  const findings = [];
  for (const built of builds) {
    const [answer] = (await sjs(['published', built.tag], { needs: 'registry' })).documents;
    if (answer.error) {
      findings.push(...findingsOf('seal', { ...answer, file: built.file }, root));
      continue;
    }
    const { found, others } = answer;
    const say = (level, message) => findings.push({ level, step: 'seal', file: built.file, message });
    if (others.length > 0) {
      const names = others.join(', ');
      const words = `version ${built.version} of ${built.name} is published with another seal`;
      say('warning', `${words} (${names}): bump metadata.version`);
    }
    if (found === null) continue;
    const isOther = (seal) => seal !== built.seal;
    if (isOther(found.seal)) {
      say('error', `${found.reference} has the seal ${found.seal}, and what was built here ${built.seal}`);
      continue;
    }
    const [verified] = (await sjs(['verify', found.reference], { needs: 'registry' })).documents;
    if (verified.error) {
      const problems = findingsOf('seal', { ...verified, file: built.file }, root);
      // Pushed, and not yet signed: a job that was ended between. Publishing again finishes it.
      const isUnfinished = UNFINISHED.includes(verified.error.code);
      findings.push(
        ...problems.map((problem) => (isUnfinished ? { ...problem, level: 'warning' } : problem)),
      );
    } else if (isOther(verified.seal)) {
      say(
        'error',
        `${found.reference} verifies as ${verified.seal}, and what was built here is ${built.seal}`,
      );
    } else {
      built.published = found.reference;
    }
  }
  const published = builds.filter((one) => one.published).length;
  return { findings, detail: `${published} of ${builds.length} published and the same` };
}

const UNFINISHED = ['SEAL_UNSIGNED', 'ATTESTATION_MISSING'];

/** The rights of every sandbox as it stands on the target branch beside those of the change; needs no engine. */
export async function compareRights(context) {
  const { sjs, repository, against, head, below, scratch } = context;
  const [from, to] = [join(scratch, 'from'), join(scratch, 'to')];
  const [before, after] = [
    await repository.sandboxes(against, below),
    await repository.sandboxes(head, below),
  ];
  await Promise.all([lay(from, before, repository), lay(to, after, repository)]);
  const paths = after.map(({ path }) => path);
  if (before.length + after.length === 0) return { findings: [], markdown: 'There is no sandbox.' };
  const { code, documents } = await sjs(['diff', '--all', from, to], { lines: true });
  const failed = documents.filter(({ error }) => error);
  const findings = failed.flatMap((document) => findingsOf('diff', document, to));
  if (code > 1 && findings.length === 0) throw new Error(`sjs diff ended with ${code}`);
  const changed = await repository.changedLines(against, head, paths);
  for (const { file, right, words } of widened(documents, to)) {
    const line = await lineOf(right, file, changed.get(file) ?? [], context);
    findings.push({ level: 'warning', step: 'diff', code: 'WIDENED', file, ...line, message: words });
  }
  const { text } = await sjs(['diff', '--all', '--format', 'markdown', '--quiet', from, to], { plain: true });
  const count = findings.filter(({ level }) => level === 'warning').length;
  return { findings, markdown: text, detail: plural(count, 'widened right') };
}

/** Every right that is wider than before, in each sandbox of the comparison. */
const widened = (documents, folder) =>
  documents.flatMap(({ rights = [], to: { file } = {} }) =>
    rights
      .filter(({ widened }) => widened)
      .map(({ right, from, to }) => ({
        file: relative(folder, file),
        right,
        words: `${right} is widened: ${JSON.stringify(from)} -> ${JSON.stringify(to)}`,
      })),
  );

/** Writes the files of a commit to a folder of ours, each as a plain file. */
async function lay(folder, files, repository) {
  await mkdir(folder, { recursive: true });
  for (const { path, id } of files) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), await repository.readBlob(id));
  }
}

/** The changed line that names the right, else the first that changed: an annotation elsewhere is not shown in a review. */
async function lineOf(right, file, lines, { repository, head }) {
  if (lines.length === 0) return {};
  const text = (await repository.readFile(head, file, 1024 * 1024))?.toString('utf8').split('\n') ?? [];
  const names = right.split('.').reverse();
  const found = names.map((name) => lines.find((line) => text[line - 1]?.includes(name))).find(Boolean);
  return { line: found ?? lines[0] };
}

/** Pushes and signs what the registry does not have yet. */
export async function publish({ sjs, root, key }, builds) {
  const findings = [];
  for (const built of builds.filter(({ published }) => !published)) {
    const words = ['push', built.tag, '--sign', ...(key === undefined ? [] : ['--key', key])];
    const { code, documents } = await sjs(words, { needs: 'everything' });
    const [pushed] = documents;
    if (pushed.error) findings.push(...findingsOf('publish', { ...pushed, file: built.file }, root));
    else if (code !== 0) throw new Error(`sjs push ended with ${code}`);
    else built.published = pushed.reference;
  }
  return {
    findings,
    detail: builds
      .map(({ published }) => published)
      .filter(Boolean)
      .join(', '),
  };
}
