import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SjsError } from '../../index.js';
import type { Verb } from '../verb.js';

/** `sjs edit`: clone, change, build. */
export const editVerb: Verb = {
  examples: [
    ['sjs edit my-job', 'its sandbox.yaml in your editor, with the source beside it; then it is built'],
    ['EDITOR="code --wait" sjs edit my-job', 'an editor that says when it is done'],
  ],
  usage: '<tag|seal|name>',
  positionals: [1, 1],
  notes: 'The editor is that of VISUAL or EDITOR, else vi. When the build fails, the folder stays.',
  async run(input, { sjs, output, env, tapSignals }) {
    const target = input.positionals[0] ?? '';
    const folder = await mkdtemp(join(tmpdir(), 'sjs-edit-'));
    const { signals } = tapSignals();
    const options = { signal: signals.abort };
    let isKept = false;
    try {
      const before = await sjs.cloneImage(target, folder, options);
      await edit(env['VISUAL'] || env['EDITOR'] || 'vi', folder);
      // From here on it has somebody's work in it.
      isKept = true;
      const result = await sjs.build(folder, options);
      isKept = false;
      if (output.json) await output.printJson({ ...result, changed: result.seal !== before.seal });
      await output.print(result.tag);
      if (result.seal === before.seal) output.note('nothing changed: it is the same seal');
      return 0;
    } finally {
      if (isKept) output.say(`what you wrote is in ${folder}: correct it there, then sjs build ${folder}`);
      else await rm(folder, { recursive: true, force: true });
    }
  },
};

/**
 * As git does: the editor may have arguments, and the shell takes them apart. It starts where sjs was started: in the
 * clone, a relative EDITOR or PATH would find programs of the image.
 */
async function edit(editor: string, folder: string): Promise<void> {
  const child = spawn('/bin/sh', ['-c', `${editor} "$@"`, editor, join(folder, 'sandbox.yaml')], {
    stdio: 'inherit',
  });
  const status = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', resolve);
  });
  if (status === 0) return;
  throw new SjsError('USAGE', `the editor ${JSON.stringify(editor)} ended with ${status ?? 'a signal'}`, {
    next: 'set VISUAL or EDITOR to one that works here',
  });
}
