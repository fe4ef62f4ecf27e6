import { BILL_FORMATS, nearest, SjsError } from '../../index.js';
import type { Verb } from '../verb.js';

/** `sjs sbom`: JSON always. */
export const sbomVerb: Verb = {
  examples: [
    [
      'sjs sbom my-job > bom.json',
      'what is in it: Debian packages, runtimes, packages of npm and Python, files',
    ],
    ['sjs sbom --format spdx my-job', 'the same in SPDX 2.3'],
    ["sjs sbom my-job | jq -r '.components[].purl // empty'", 'the packages alone'],
  ],
  usage: '<tag|seal|name>',
  positionals: [1, 1],
  options: {
    format: { value: 'FORMAT', describe: 'cyclonedx (1.6, the default) or spdx (2.3)' },
  },
  notes: `The same seal gives the same bill of materials on every machine. It states a time only where SPDX demands one:
that of SOURCE_DATE_EPOCH, else 1970.`,
  async run(input, { sjs, output, tapSignals }) {
    const wanted = input.value('format') ?? 'cyclonedx';
    const format = BILL_FORMATS.find((name) => name === wanted);
    if (format === undefined) {
      throw new SjsError('USAGE', `there is no format ${JSON.stringify(wanted)}`, {
        next: `did you mean ${nearest(wanted, BILL_FORMATS) ?? BILL_FORMATS.join(' or ')}?`,
      });
    }
    const { abort } = tapSignals().signals;
    await output.printJson(await sjs.describeImage(input.positionals[0] ?? '', format, { signal: abort }));
    return 0;
  },
};
