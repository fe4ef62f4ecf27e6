import { resolve } from 'node:path';
import { readOwnVersion } from './own-version.js';

/** What decides which engine and which policy a run has, whoever starts it. */
export type PoolScene = Readonly<Record<string, string>>;

/** Variables from which policy and engine follow. */
const STEERING = [
  'HOME',
  'XDG_CONFIG_HOME',
  'DOCKER_HOST',
  'DOCKER_CONTEXT',
  'DOCKER_CONFIG',
  'DOCKER_TLS_VERIFY',
  'DOCKER_CERT_PATH',
];

/**
 * What this process and a pool must have in common, or a call would run under another policy or on another engine.
 * @param policyFile the value of `--policy`
 */
export function readScene(env: NodeJS.ProcessEnv, policyFile: string | undefined): PoolScene {
  const policy = policyFile ?? env['SJS_POLICY'];
  const variables = STEERING.flatMap((name) => (env[name] ? [[name, env[name]] as const] : []));
  return {
    'version of sjs': readOwnVersion(),
    ...Object.fromEntries(variables),
    ...(policy && { '--policy or SJS_POLICY': resolve(policy) }),
  };
}

/** The first thing in which two differ; null when in nothing. */
export const describeOtherScene = (a: PoolScene, b: PoolScene): string | null =>
  [...Object.keys(a), ...Object.keys(b)].find((name) => a[name] !== b[name]) ?? null;
