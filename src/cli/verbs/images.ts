import type { Sjs } from '../../index.js';
import { FORMAT_OPTION, printList } from '../format.js';
import { formatRelativeTime } from '../relative-time.js';
import { formatSize } from '../size.js';
import { formatTable } from '../table.js';
import type { Verb } from '../verb.js';

type Image = Awaited<ReturnType<Sjs['listImages']>>[number];

/** `sjs images`, as docker images. */
export const imagesVerb: Verb = {
  examples: [
    ['sjs images', 'every sealed image made here, newest first'],
    ['sjs images my-job', 'those of that name'],
    ['sjs images --format "{{.tag}} {{.sizeBytes}}"', 'for a script; --json has all that is known'],
  ],
  usage: '[name|tag]',
  positionals: [0, 1],
  options: {
    ...FORMAT_OPTION,
    quiet: { short: 'q', describe: 'tags only' },
    'no-trunc': { describe: 'whole tags, seals and bases' },
  },
  async run(input, context) {
    const { sjs, output } = context;
    const [wanted] = input.positionals;
    const images = (await sjs.listImages())
      .filter(({ name, tag }) => wanted === undefined || [name, tag, `sjs/${name}`].includes(wanted))
      .sort((a, b) => (a.createdAt < b.createdAt ? 1 : -1));
    if (input.has('quiet') && !output.json && input.value('format') === undefined) {
      for (const { tag } of images) await output.print(tag);
      return 0;
    }
    const isWhole = input.has('no-trunc');
    const width = isWhole ? undefined : output.stdout.columns;
    await printList(images, FIELDS, input, context, () => formatImages(images, isWhole, width, Date.now()));
    return 0;
  },
};

const FIELDS: readonly (keyof Image)[] = [
  'tag',
  'seal',
  'name',
  'version',
  'base',
  'imageId',
  'createdAt',
  'usedAt',
  'imported',
  'isPresent',
  'sizeBytes',
];

function formatImages(
  images: readonly Image[],
  isWhole: boolean,
  width: number | undefined,
  now: number,
): Promise<string> {
  return formatTable(
    ['tag', 'seal', 'base', 'created', 'size'],
    images.map(({ tag, seal, base, isPresent, sizeBytes, createdAt, imported }) => [
      tag,
      isWhole ? seal : seal.slice('sha256:'.length, 'sha256:'.length + 12),
      `${base.image}${base.version === null ? '' : `:${base.version}`}${imported && !imported.isBaseVerified ? ' (unverified)' : ''}`,
      `${formatRelativeTime(createdAt, now)}${imported ? ', imported' : ''}`,
      isPresent && sizeBytes !== null ? formatSize(sizeBytes) : 'not in the engine',
    ]),
    // Of the base its name and version say more than where it is; the seal stands for what is cut of a tag.
    { width, flexible: [2, 0], keepsEnd: [2] },
  );
}
