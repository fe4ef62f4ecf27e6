import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { createSjs } from '../../src/sjs.js';
import type { Sjs } from '../../src/api.js';
import { docker } from './docker.js';
import { makeFolder, runSjs, sandboxYaml, world } from './world.js';

/** A sealed program with functions, and the library over the SJS_HOME that has it. */
export interface Callable {
  readonly home: string;
  readonly tag: string;
  readonly sjs: Sjs;
  /** Ids of the containers that the engine has of this SJS_HOME. */
  containers(): string[];
  remove(): void;
}

/**
 * Seals functions for pools and calls; its image goes with `remove`.
 * @param code of an ECMAScript module
 * @param spec more lines under `spec`
 */
export async function sealFunctions(code: string, spec = ''): Promise<Callable> {
  const home = await makeFolder();
  // A name of its own: the same sandbox in another test file would be the same image, which is removed with that file.
  const name = `functions-${randomBytes(6).toString('hex')}`;
  const folder = await makeFolder({ 'sandbox.yaml': sandboxYaml(name, spec), 'index.js': code });
  const { stdout } = await runSjs(home, ['build', folder, '--json']);
  const { tag } = JSON.parse(stdout) as { tag: string };
  const sjsHome = join(home, 'sjs');
  const env = { PATH: process.env['PATH'], HOME: home, DOCKER_HOST: process.env['DOCKER_HOST'] };
  return {
    home,
    tag,
    sjs: createSjs({ env, home: sjsHome, policyFile: world.policyFile }),
    containers: () =>
      docker(['ps', '-aq', '--filter', `label=dev.sjs.run.home=${sjsHome}`])
        .split('\n')
        .filter(Boolean),
    remove: () => void docker(['image', 'rm', '-f', tag]),
  };
}
