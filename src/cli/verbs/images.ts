import type { Sjs } from '../../index.js';
import { formatRelativeTime } from '../relative-time.js';
import { formatSize } from '../size.js';
import { formatTable } from '../table.js';
import type { Verb } from '../verb.js';

/** `sjs images`. */
export const imagesVerb: Verb = {
  examples: [
    ['sjs images', 'every sealed image made here, newest first'],
    ['sjs images -q', 'tags only'],
  ],
  usage: '',
  positionals: [0, 0],
  options: { quiet: { short: 'q', describe: 'tags only' } },
  async run(input, { sjs, output }) {
    const images = [...(await sjs.listImages())].sort((a, b) => (a.createdAt < b.createdAt ? 1 : -1));
    if (output.json) await output.printJson(images);
    else if (input.has('quiet')) for (const { tag } of images) await output.print(tag);
    else await output.print(await formatImages(images, Date.now()));
    return 0;
  },
};

function formatImages(images: Awaited<ReturnType<Sjs['listImages']>>, now: number): Promise<string> {
  return formatTable(
    ['tag', 'seal', 'base', 'size', 'created'],
    images.map(({ tag, seal, base, isPresent, sizeBytes, createdAt, imported }) => [
      tag,
      seal.slice(0, 'sha256:'.length + 12),
      `${base.image}${base.version === null ? '' : `:${base.version}`}`,
      isPresent && sizeBytes !== null ? formatSize(sizeBytes) : 'not in the engine',
      `${formatRelativeTime(createdAt, now)}${imported ? ', imported' : ''}`,
    ]),
  );
}
