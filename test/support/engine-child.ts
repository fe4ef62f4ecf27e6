// A process of its own that runs one plan and can be killed: `node engine-child.mjs RUN_ID HOME FOLDER PLAN_JSON`.
import { join } from 'node:path';
import { createDockerClient } from '../../src/adapters/docker/client.js';
import { createDockerEngine } from '../../src/adapters/docker/docker-engine.js';
import { currentOwner } from '../../src/adapters/process/owner.js';
import type { RunPlan } from '../../src/model/run-plan.js';

const [runId, home, folder, plan] = process.argv.slice(2) as [string, string, string, string];
const client = await createDockerClient({ env: process.env, home: '/' });
// Isolation was proven by the process that starts this one, or needs no proof without a network.
const proofs = { get: () => Promise.resolve(true), set: () => Promise.resolve() };
const engine = createDockerEngine(
  client,
  { reaperFile: join(folder, 'reaper.cjs'), collectorFile: join(folder, 'collector.cjs') },
  proofs,
);
const outcome = await engine.run(
  runId,
  await currentOwner(home),
  JSON.parse(plan) as RunPlan,
  {
    stdin: null,
    onStdin: () => undefined,
    onStdout: (chunk) => void process.stdout.write(chunk),
    onStderr: (chunk) => void process.stderr.write(chunk),
    onArtifact: () => Promise.resolve(),
    onSkippedArtifact: () => undefined,
    onConnection: () => undefined,
    onPorts: () => undefined,
    beforeStart: () => Promise.resolve(),
    onEnding: () => undefined,
    onStarted: () => void process.stdout.write('[started]\n'),
    onEnded: () => Promise.resolve(),
  },
  { subscribe: () => () => undefined },
);
process.stdout.write(JSON.stringify(outcome));
