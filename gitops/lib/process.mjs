import { spawn } from 'node:child_process';
import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { delimiter, isAbsolute, join, relative, resolve } from 'node:path';
import { StringDecoder } from 'node:string_decoder';

const LARGEST = 64 * 1024 ** 2;

/**
 * What lets its holder speak for somebody. The steps that only look get none of it: all of the repository goes through
 * them.
 */
const CREDENTIALS =
  /^(?:GITHUB_TOKEN|GH_TOKEN|SJS_CI_.*|ACTIONS_(?:ID_TOKEN_REQUEST|RUNTIME|RESULTS|CACHE)_.*|CI_JOB_TOKEN|CI_JOB_JWT.*|CI_(?:REGISTRY|DEPLOY|DEPENDENCY_PROXY)_PASSWORD|DOCKER_AUTH_CONFIG|CI_REPOSITORY_URL|GITLAB_TOKEN|SIGSTORE_ID_TOKEN|COSIGN_.*|VAULT_.*|TRANSIT_SECRET_ENGINE_PATH)$/;

/** What clouds take for the word of its holder: key services to sign, and the credential helpers of registries to read. */
const CLOUD_CREDENTIALS = /^(?:AWS|AZURE|ARM|IDENTITY|MSI|GOOGLE|CLOUDSDK)_/;

/** What a registry of packages is read with: building alone needs it. */
const PACKAGE_CREDENTIALS = /^(?:NPM_TOKEN|NODE_AUTH_TOKEN)$/;

/** Where the job set up its registry of packages. In small letters the names come from an .npmrc of the repository. */
const PACKAGE_SETTINGS = /^NPM_CONFIG_(?:USERCONFIG|GLOBALCONFIG|REGISTRY|CAFILE)$/;

/** Makes Node, npm or git load what a variable names. */
const LOADERS = /^(?:NODE_OPTIONS|NODE_PATH|NODE_EXTRA_.*|LD_.*|DYLD_.*|GIT_.*|BASH_ENV|ENV|npm_.*)$/i;

/**
 * The environment of a step. Nothing on its PATH lies in the repository.
 * @param needs `nothing`, `registry` to look into one, `packages` to build (from a registry too), or `everything` to publish
 */
export function childEnvironment(env, root, needs = 'nothing') {
  const isAsking = needs === 'everything' || (needs !== 'nothing' && hasCredentialHelper(env));
  const mayHave = (name) => {
    if (PACKAGE_SETTINGS.test(name) || name === 'NODE_EXTRA_CA_CERTS') return true;
    if (PACKAGE_CREDENTIALS.test(name)) return needs === 'packages' || needs === 'everything';
    if (CLOUD_CREDENTIALS.test(name)) return isAsking;
    return !LOADERS.test(name) && (needs === 'everything' || !CREDENTIALS.test(name));
  };
  const kept = Object.entries(env).filter(([name]) => mayHave(name));
  const path = (env.PATH ?? '')
    .split(delimiter)
    .filter((folder) => isAbsolute(folder) && !isWithin(folder, root))
    .join(delimiter);
  return { ...Object.fromEntries(kept), PATH: path };
}

/** Whether Docker's configuration names a program that fetches passwords of registries; sjs reads the same file. */
function hasCredentialHelper({ DOCKER_CONFIG, HOME = '' }) {
  try {
    const file = join(DOCKER_CONFIG || join(HOME, '.docker'), 'config.json');
    const { credsStore = '', credHelpers = {} } = JSON.parse(readFileSync(file, 'utf8'));
    return credsStore !== '' || Object.keys(credHelpers).length > 0;
  } catch {
    return false;
  }
}

/** Where sjs, npm, Docker and Node look for what the operator says. */
const OPERATORS_FILES =
  /^(?:HOME|SJS_HOME|SJS_POLICY|XDG_(?:CONFIG|DATA)_HOME|DOCKER_CONFIG|NODE_EXTRA_CA_CERTS|NPM_CONFIG_(?:USERCONFIG|GLOBALCONFIG|CAFILE))$/;

/** The names of variables that have what the operator says lie in the repository: there a change would say it. */
export function namesInside(env, root) {
  const isInside = (path) => {
    const whole = resolve(root, path);
    return isWithin(whole, root) || (existsSync(whole) && isWithin(realpathSync(whole), root));
  };
  return Object.keys(env).filter((name) => OPERATORS_FILES.test(name) && env[name] && isInside(env[name]));
}

/** Whether a path is a folder or lies in it. */
export function isWithin(path, folder) {
  const way = relative(folder, path);
  return way === '' || (!isAbsolute(way) && way !== '..' && !way.startsWith('../'));
}

/** Runs a program without a shell, and ends it at the time limit. Never throws: code 127 says that it is not there. */
export function run(command, args, { cwd, env, timeoutMs = 60_000, input, onLine }) {
  return new Promise((done) => {
    const child = spawn(command, args, {
      cwd,
      env,
      stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    });
    const out = { stdout: [], stderr: [] };
    let bytes = 0;
    let failure = null;
    const timer = setTimeout(() => {
      failure = `took longer than ${timeoutMs / 1000} s`;
      child.kill('SIGKILL');
    }, timeoutMs);
    for (const name of ['stdout', 'stderr']) {
      child[name].on('data', (chunk) => {
        bytes += chunk.length;
        if (bytes <= LARGEST) return void out[name].push(chunk);
        failure = 'printed more than 64 MiB';
        child.kill('SIGKILL');
      });
    }
    if (onLine) eachLine(child.stderr, onLine);
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(input);
    const end = (code, words) => {
      clearTimeout(timer);
      const [stdout, stderr] = [Buffer.concat(out.stdout), Buffer.concat(out.stderr).toString('utf8')];
      done({ code, bytes: stdout, stdout: stdout.toString('utf8'), stderr: words ?? stderr });
    };
    child.once('error', (error) => end(127, error.message));
    child.once('close', (code) => end(failure === null ? (code ?? 1) : 1, failure));
  });
}

function eachLine(stream, onLine) {
  const decoder = new StringDecoder('utf8');
  let rest = '';
  stream.on('data', (chunk) => {
    const lines = `${rest}${decoder.write(chunk)}`.split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) onLine(line);
  });
  stream.on('end', () => rest !== '' && onLine(rest));
}
