import { relative } from 'node:path';
import { SjsError } from '../../index.js';
import type { Verb } from '../verb.js';

const TEMPLATES = ['node'];

/** `sjs init`. */
export const initVerb: Verb = {
  examples: [
    ['sjs init', 'in this folder'],
    ['sjs init my-job', 'in a folder that is made when it is not there'],
  ],
  usage: '[dir]',
  positionals: [0, 1],
  options: { template: { value: 'NAME', describe: `what to start from: ${TEMPLATES.join(', ')}` } },
  async run(input, { sjs, output }) {
    const [directory = '.'] = input.positionals;
    const template = input.value('template') ?? 'node';
    if (!TEMPLATES.includes(template)) {
      throw new SjsError('USAGE', `there is no template ${JSON.stringify(template)}`, {
        next: `choose ${TEMPLATES.join(' or ')}`,
      });
    }
    const files = await sjs.init(directory);
    if (output.json) await output.printJson({ directory, template, files });
    for (const file of files) await output.print(relative(process.cwd(), file));
    const path = directory === '.' ? '' : ` ${directory}`;
    output.note(`next: sjs validate${path}, then sjs build${path}`);
    return 0;
  },
};
