import type { Sjs } from '../../index.js';
import { FORMAT_OPTION, printList } from '../format.js';
import { formatRelativeTime } from '../relative-time.js';
import { formatSize } from '../size.js';
import { formatTable } from '../table.js';
import { cleanLine } from '../terminal.js';
import type { Verb } from '../verb.js';

type Image = Awaited<ReturnType<Sjs['listImages']>>[number];

/** `sjs images`, as docker images. */
export const imagesVerb: Verb = {
  examples: [
    ['sjs images', 'every sealed image made here, newest first'],
    ['sjs images my-job', 'those of that name'],
    ['sjs images --tree', 'which was rebased from which, and what each stands on'],
    ['sjs images --format "{{.tag}} {{.sizeBytes}}"', 'for a script; --json has all that is known'],
  ],
  usage: '[name|tag]',
  positionals: [0, 1],
  options: {
    ...FORMAT_OPTION,
    quiet: { short: 'q', describe: 'tags only' },
    'no-trunc': { describe: 'whole tags, seals and bases' },
    tree: { describe: 'each below the one it was rebased from, with the base that it stands on' },
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
    if (input.has('tree') && !output.json) {
      await output.print(formatTree(images));
      return 0;
    }
    const isWhole = input.has('no-trunc');
    const width = isWhole ? undefined : output.stdout.columns;
    await printList(images, FIELDS, input, context, () => formatImages(images, isWhole, width, Date.now()));
    return 0;
  },
};

/** Lineage as a tree; one whose origin is gone says which seal that was. */
function formatTree(images: readonly Image[]): string {
  const here = new Set(images.map(({ seal }) => seal));
  const lines: string[] = [];
  const add = (image: Image, indent: string, isLast: boolean | null): void => {
    const { tag, base, rebasedFrom, isPresent } = image;
    const branch = isLast === null ? '' : isLast ? '└─ ' : '├─ ';
    const origin = rebasedFrom !== undefined && isLast === null ? `  (from ${rebasedFrom.slice(0, 19)})` : '';
    const version = base.version === null ? '' : `:${base.version}`;
    const standsOn = `${base.image}${version}@${base.digest.slice(0, 19)}`;
    const gone = isPresent ? '' : '  (not in the engine)';
    lines.push(cleanLine(`${indent}${branch}${tag}  on ${standsOn}${origin}${gone}`));
    const children = images.filter((other) => other.rebasedFrom === image.seal);
    const next = isLast === null ? indent : `${indent}${isLast ? '   ' : '│  '}`;
    children.forEach((child, at) => add(child, next, at === children.length - 1));
  };
  for (const image of images) {
    if (image.rebasedFrom === undefined || !here.has(image.rebasedFrom)) add(image, '', null);
  }
  return lines.join('\n');
}

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
  'rebasedFrom',
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
