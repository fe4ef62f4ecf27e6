import { expect, test } from '@jest/globals';
import { sandboxOptions } from '../../src/adapters/docker/container-options.js';
import { collectorOptions } from '../../src/adapters/docker/helper-options.js';
import { outVolumeOptions } from '../../src/adapters/docker/create-container.js';
import { makePlan } from '../support/engine-run.js';
import { expectGolden } from '../support/golden.js';

test('what the engine is asked for, whole: a setting that comes or goes shows here', () => {
  const runId = '01JD0000000000000000000000';
  const owner = { bootId: 'boot', pid: 42, startTime: '4242', home: '/home/u/.local/share/sjs' };
  const plan = makePlan(`sha256:${'a'.repeat(64)}`, '<profile>', {
    command: ['node', '--permission', 'index.js'],
    args: ['one', '--two'],
    env: { TZ: 'UTC' },
    unsetEnv: ['NODE_VERSION'],
    secrets: { TOKEN: 'never in here' },
    resources: { milliCpu: 500, timeoutMs: 30_000 },
    filesystem: { tmpBytes: 64 * 1024 ** 2, tmpInodes: 4096, outBytes: 4 * 1024 ** 2 },
  });
  const withoutOut = { ...plan, filesystem: { ...plan.filesystem, outBytes: null } };
  const asked = {
    sandbox: sandboxOptions(runId, owner, plan),
    mountsWithoutOut: sandboxOptions(runId, owner, withoutOut).HostConfig?.Mounts,
    collector: collectorOptions(runId, owner, plan, '<script>'),
    volume: outVolumeOptions(runId, owner, plan),
  };
  const text = `${JSON.stringify(asked, null, 2)}\n`;
  expect(text).not.toContain('never in here');
  expectGolden('container-options.json', text);
});
