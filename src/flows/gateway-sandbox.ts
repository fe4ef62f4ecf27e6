import type { Digest } from '../model/digest.js';
import { shortDigest } from '../model/digest.js';
import type { Policy } from '../model/policy.js';
import { DEFAULT_PERMISSIONS, DEFAULT_USER, GATEWAY_NAME, type LoadedSandbox } from '../model/sandbox.js';
import { SjsError } from '../errors.js';
import type { Subject } from '../model/waiver.js';
import { gatewayBase } from '../stages/policy/effective-policy.js';

/** The program of this sjs's gateway, in a folder where its lock may lie too. */
export interface GatewaySource {
  readonly directory: string;
  /** Name of the program's file there. */
  readonly file: string;
  readonly digest: Digest;
}

/**
 * The version of the gateway that has this program: another sjs may have another, and each uses its own. One that carries
 * no traffic, and is there for its Node, has no right to any and a version of its own.
 */
export function gatewayVersion({ digest }: Pick<GatewaySource, 'digest'>, carriesTraffic: boolean): string {
  return `0.0.0-${carriesTraffic ? 'p' : 'n'}${shortDigest(digest)}`;
}

/**
 * The gateway as a sandbox, over what the operator says, to be built and sealed like any other.
 * @param serves the sandbox that needs it
 * @param carriesTraffic whether that declares traffic; else it is the Node alone that is needed
 * @throws SjsError `BASE_NOT_PINNED` when no policy says what it is built over
 */
export function gatewaySandbox(
  source: GatewaySource,
  policy: Policy,
  { name, origin }: Pick<Subject, 'name' | 'origin'>,
  carriesTraffic: boolean,
): LoadedSandbox {
  const base = gatewayBase(policy);
  if (!base) {
    throw new SjsError(
      'BASE_NOT_PINNED',
      'no policy says what the gateway is built over, which carries declared traffic and brings out /out where the base has no Node',
      { next: 'state defaults.gateway in your policy: a base with Node 20 or later, as { image, version }' },
    );
  }
  return {
    file: `${source.directory}/${source.file}`,
    directory: source.directory,
    serves: { name, origin },
    digest: source.digest,
    sandbox: {
      name: GATEWAY_NAME,
      version: gatewayVersion(source, carriesTraffic),
      language: 'node',
      base,
      source: source.file,
      exclude: [],
      inputs: [],
      command: ['node', `/app/${source.file}`],
      args: [],
      env: {},
      secrets: [],
      permissions: DEFAULT_PERMISSIONS,
      user: DEFAULT_USER,
      filesystem: { tmpBytes: 4096, outBytes: null },
      network: carriesTraffic ? { mode: 'isolated', ports: [], egress: [] } : { mode: 'none' },
      // What it really gets, every run of it the same, is the engine's to set; these are for the heap and the policy.
      resources: {
        milliCpu: 1000,
        memoryBytes: 128 * 1024 ** 2,
        pids: 32,
        files: 1024,
        timeoutMs: 1000,
        outputBytes: 1024,
      },
      runtime: 'runc',
      dependencies: null,
    },
    locate: () => ({ line: 1, column: 1 }),
    excerpt: () => '',
  };
}
