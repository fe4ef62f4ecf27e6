import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { interleave } from '../measure.mjs';

/** From nothing to the picture of a first page: in the sandbox, and by the same files outside of any container. */
export async function measure({ addRatio, wall, sjs, world, folder }) {
  world.importBase('chromium');
  const sandbox = join(folder, 'work', 'chromium');
  cpSync(resolve('examples/screenshot'), sandbox, {
    recursive: true,
    filter: (path) => !/node_modules|sandbox\.lock/.test(path),
  });
  // Where the browser and the picture are is all that differs.
  const program = join(sandbox, 'index.js');
  const text = readFileSync(program, 'utf8')
    .replace("'/usr/bin/chromium'", "process.env.CHROMIUM ?? '/usr/bin/chromium'")
    .replace("'/out/page.png'", "process.env.PICTURE ?? '/out/page.png'");
  writeFileSync(program, text);
  const { tag } = JSON.parse(world.sjs(['build', sandbox, '--json']));

  const tree = join(folder, 'work', 'chromium-tree');
  mkdirSync(tree);
  const container = execFileSync('docker', ['create', tag], { encoding: 'utf8' }).trim();
  try {
    execFileSync('sh', ['-c', `docker export ${container} | tar -x -C '${tree}'`]);
  } finally {
    execFileSync('docker', ['rm', '-f', container], { stdio: 'ignore' });
  }
  const libraries = execFileSync('sh', ['-c', `echo '${tree}'/usr/lib/*-linux-gnu*`], {
    encoding: 'utf8',
  }).trim();
  // With this machine's fonts it would be another picture.
  const fonts = join(folder, 'work', 'fonts.conf');
  const config = readFileSync(join(tree, 'etc/fonts/fonts.conf'), 'utf8')
    .replace('>/usr/share/fonts<', `>${tree}/usr/share/fonts<`)
    .replace('>conf.d<', `>${tree}/etc/fonts/conf.d<`);
  writeFileSync(fonts, config);
  const env = {
    PATH: process.env.PATH,
    HOME: join(folder, 'work'),
    CHROMIUM: join(tree, 'usr/lib/chromium/chromium-headless-shell'),
    PICTURE: join(folder, 'work', 'page.png'),
    LD_LIBRARY_PATH: `${libraries}:${libraries}/pulseaudio`,
    FONTCONFIG_FILE: fonts,
  };
  const node = join(tree, 'usr/local/bin/node');
  const shots = (round) => join(folder, 'work', `shots${round}`);
  const results = await interleave(9, {
    sjs: (round) => wall(sjs('run', '--out', shots(round), tag)),
    outside: () => wall([node, join(tree, 'app/index.js')], { env, cwd: folder }),
  });
  if (!readFileSync(join(shots(0), 'page.png')).equals(readFileSync(env.PICTURE)))
    throw new Error('the two sides made different pictures');
  addRatio('chromium', '`sjs run` of a browser job: first page to PNG', 3, results.sjs, [
    'the same program, Node and Chromium outside of any container',
    results.outside,
  ]);
}
