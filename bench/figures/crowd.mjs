import { spawn } from 'node:child_process';
import { once } from 'node:events';

/** How many sandboxes with networks of their own run at the same moment. */
export async function measure({ add, sjs, world }) {
  const source = { 'index.js': 'setTimeout(() => {}, 600_000);\n' };
  const resources = '  resources: { timeout: 10m, memory: 128Mi }\n';
  for (const [name, what, wanted, network] of [
    ['crowd', 'isolated sandboxes at once', 100, '{ mode: isolated }'],
    [
      'crowd-gateway',
      'isolated sandboxes at once, each with a gateway',
      20,
      '{ mode: isolated, egress: ["api.example.test:80"] }',
    ],
  ]) {
    const sandbox = await world.makeSandbox(name, source, `  network: ${network}\n${resources}`);
    const { tag } = JSON.parse(world.sjs(['build', sandbox, '--json']));
    const [command, ...args] = sjs('run', '-d', tag);
    const begin = performance.now();
    const ids = [];
    const start = async () => {
      while (ids.length < wanted) {
        ids.push('');
        const child = spawn(command, args, { env: world.env, stdio: ['ignore', 'pipe', 'inherit'] });
        let id = '';
        child.stdout.on('data', (chunk) => (id += chunk));
        const [code] = await once(child, 'close');
        if (code !== 0) throw new Error(`a run of ${name} did not begin: ${code}`);
      }
    };
    await Promise.all(Array.from({ length: 4 }, start));
    const startedMs = performance.now() - begin;
    const running = JSON.parse(world.sjs(['ps', '--json']));
    process.stderr.write(`${what}: begun in ${Math.round(startedMs / 1000)} s\n`);
    const all = running.map(({ id }) => id);
    world.sjs(['kill', ...all]);
    world.sjs(['wait', ...all]);
    add(
      name,
      what,
      { atMost: Infinity, atLeast: wanted },
      { value: running.length, unit: 'sandboxes', rounds: 1 },
    );
  }
}
