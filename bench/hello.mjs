import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildForBaseNode } from './base-node.mjs';
import { readSettings, toFlags } from './engine-settings.mjs';

let made = null;

/** A sealed hello, the `docker run` of the same image with the same settings, and sjs itself on the Node of that image. */
export const sealHello = (bench) => (made ??= makeHello(bench));

async function makeHello({ world, folder }) {
  const sandbox = await world.makeSandbox('hello', {
    'index.js': 'console.log("hello"); if (process.argv[2] === "wait") setTimeout(() => {}, 1000);\n',
  });
  const { tag } = JSON.parse(world.sjs(['build', sandbox, '--json']));
  const settings = await readSettings(tag, world.env);
  const settingsFile = join(folder, 'work', 'settings.json');
  writeFileSync(settingsFile, JSON.stringify(settings));
  const dockerRun = ['docker', 'run', ...toFlags(settings), tag];

  const onBaseNode = buildForBaseNode(tag, folder);
  const baseNode = execFileSync(onBaseNode[0], ['--version'], { encoding: 'utf8' }).trim();
  return { tag, settingsFile, dockerRun, onBaseNode, baseNode };
}
