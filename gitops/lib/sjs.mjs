import { isAbsolute, relative } from 'node:path';
import { childEnvironment, run } from './process.mjs';
import { logLine } from './text.mjs';

const TIMEOUT_MS = 45 * 60_000;

/** Calls sjs as a person would, and reads its one document, or its lines of them; with `plain` its words. */
export function openSjs({ program, root, env, policyFile, policyName }) {
  // A policy of the target branch lies in a file of ours: nobody can open that.
  const named = (text) => (policyFile === null ? text : text.replaceAll(policyFile, policyName));

  return async (words, { needs, lines = false, plain = false } = {}) => {
    const options = [...(plain ? [] : ['--json']), ...(policyFile === null ? [] : ['--policy', policyFile])];
    const result = await run(process.execPath, [program, ...words, ...options], {
      cwd: root,
      env: { ...childEnvironment(env, root, needs), NO_COLOR: '1' },
      timeoutMs: TIMEOUT_MS,
      onLine: (line) => line.trim() !== '' && console.error(logLine(`  ${named(line)}`)),
    });
    if (plain) return { code: result.code, text: result.stdout };
    const documents = parse(named(result.stdout), lines);
    if (documents === null) {
      const words = result.stderr.trim().split('\n').at(-1);
      return {
        code: result.code,
        documents: [{ error: { code: 'INTERNAL', message: words || `exit ${result.code}` } }],
      };
    }
    return { code: result.code, documents };
  };
}

function parse(text, lines) {
  try {
    const parts = lines ? text.split('\n').filter((line) => line.trim() !== '') : [text];
    return parts.map((part) => JSON.parse(part));
  } catch {
    return null;
  }
}

/** Every problem of an error that sjs printed, each with the place that it names. */
export function findingsOf(step, { error, file }, root) {
  const problems = error.problems?.length > 0 ? error.problems : [error];
  return problems.map(({ message, location, next }) => ({
    level: 'error',
    step,
    code: error.code,
    message: [message, next ?? (problems.length === 1 ? error.next : undefined)]
      .filter(Boolean)
      .join('; next: '),
    ...placeOf(location ?? error.location ?? (file === undefined ? undefined : { file }), root),
  }));
}

/** A place in the repository; nothing for one outside of it, as a line of the policy. */
function placeOf(location, root) {
  if (!location?.file) return {};
  const file = isAbsolute(location.file)
    ? relative(root, location.file)
    : location.file.replace(/^(?:\.\/)+/, '');
  if (file === '' || file.startsWith('../') || isAbsolute(file)) return {};
  return {
    file,
    ...(location.line !== undefined && location.line !== null && { line: location.line }),
    ...(location.column !== undefined && location.column !== null && { column: location.column }),
  };
}
