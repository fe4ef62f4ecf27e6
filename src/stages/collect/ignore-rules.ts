import dockerignoreModule, { type Ignore } from '@balena/dockerignore';
import { SjsError } from '../../errors.js';
import { cleanText } from '../../model/clean-text.js';
import type { PackagesFolder } from '../../model/language.js';

// The package is CommonJS; under NodeNext its types show the module object instead of the function.
const dockerignore = dockerignoreModule as unknown as (options: { ignorecase: boolean }) => Ignore;

/** Decides which paths of a source stay out of the image. */
export interface IgnoreRules {
  /** The author does not want it in. */
  excludes(path: string): boolean;
  /** It looks like a secret, and nobody named it. */
  withholds(path: string): boolean;
  /** Some pattern begins with `!`: an excluded folder may hold files that stay in. */
  readonly hasExceptions: boolean;
}

const MAX_WILDCARDS = 3;

/** What sjs itself writes or reads beside the source, and what git keeps: never code. */
export const NEVER_CODE = ['sandbox.yaml', 'sandbox.yml', 'sandbox.lock', '.sjsignore', '.sjs'];

/** What Python compiled once: it runs in place of the file that it says it was compiled of, and nobody reviews it. */
export const isCompiled = (path: string): boolean => /(?:^|\/)__pycache__(?:\/|$)/.test(path);

/** Names under which secrets usually lie (ATTACKS P14). Folders count with everything below them. */
const SECRET =
  /(?:^|\/)(?:\.env(?:\.[^/]*)?|\.npmrc|\.yarnrc\.yml|\.netrc|\.git-credentials|\.pypirc|\.pgpass|\.htpasswd|id_(?:rsa|dsa|ecdsa|ed25519)|\.aws|\.ssh|\.gnupg|\.kube|\.azure|\.docker|[^/]*\.(?:pem|key|p12|pfx|jks|keystore|kdbx))(?:\/|$)/i;

/**
 * The rules of `.sjsignore` and `spec.exclude`, with Docker's semantics (`**`, `!`, anchored at the source). A line
 * `!path` without wildcards names a file, and a named file is not withheld.
 * @param packages the folder that packages of a lockfile are laid into: it stays out, and of npm those further down too,
 * unless they are named
 * @param isPython whether what Python compiled stays out, unless it is named
 * @throws SjsError `SANDBOX_INVALID` for a pattern that cannot be read.
 */
export function createIgnoreRules(
  ignoreFile: string,
  exclude: readonly string[],
  packages: PackagesFolder | null = null,
  isPython = false,
): IgnoreRules {
  const patterns = [...ignoreFile.split(/\r?\n/), ...exclude].filter(
    (line) => line.trim() !== '' && !line.startsWith('#'),
  );
  // Each becomes a backtracking regular expression, in which every further wildcard multiplies the time.
  const slow = patterns.find((line) => (line.match(/\*+/g) ?? []).length > MAX_WILDCARDS);
  if (slow !== undefined) {
    throw new SjsError(
      'SANDBOX_INVALID',
      `the exclude pattern ${JSON.stringify(cleanText(slow.slice(0, 100)))} has more than ${MAX_WILDCARDS} wildcards`,
      { next: 'write it with fewer, or as several patterns' },
    );
  }
  const named = new Set(
    patterns
      .filter((line) => /^![^*?[\]]+$/.test(line))
      .map((line) =>
        line
          .slice(1)
          .replace(/^\.?\//, '')
          .replace(/\/$/, ''),
      ),
  );
  const isNamed = (path: string): boolean =>
    [...named].some((name) => path === name || path.startsWith(`${name}/`));
  const isPackages = (path: string): boolean =>
    packages !== null &&
    (`${path}/`.startsWith(`${packages}/`) ||
      (packages === 'node_modules' && /\/node_modules(?:\/|$)/.test(path) && !isNamed(path)));
  const matcher = dockerignore({ ignorecase: false });
  try {
    matcher.add(patterns);
    matcher.ignores('probe');
  } catch (cause) {
    throw new SjsError('SANDBOX_INVALID', `an exclude pattern of the sandbox cannot be read`, {
      cause,
      next: 'write patterns as in .dockerignore: **/*.test.js, docs, !docs/keep.md',
    });
  }
  return {
    excludes: (path) =>
      NEVER_CODE.includes(path) ||
      path === '.git' ||
      path.endsWith('/.git') ||
      isPackages(path) ||
      (isPython && isCompiled(path) && !isNamed(path)) ||
      (matcher.ignores(path) && !named.has(path)),
    withholds: (path) =>
      SECRET.test(path) && !named.has(path) && ![...named].some((name) => name.startsWith(`${path}/`)),
    hasExceptions: patterns.some((line) => line.startsWith('!')),
  };
}
