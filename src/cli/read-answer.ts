import { answerOf, type RunRecord, type Sjs } from '../index.js';

/** An answer beyond this is not shown whole. */
const MOST_SHOWN = 1024 ** 2;

/** The JSON that a call answered, or code gave back, as the program wrote it; null where there is none, it is gone, or too large to show. */
export async function readAnswerText(
  run: Pick<RunRecord, 'call' | 'code'>,
  sjs: Pick<Sjs, 'readContent'>,
): Promise<string | null> {
  const answer = answerOf(run);
  if (answer === null || answer.kind === 'undefined' || answer.bytes > MOST_SHOWN) return null;
  try {
    const chunks: Uint8Array[] = [];
    for await (const chunk of await sjs.readContent(answer.digest)) chunks.push(chunk as Uint8Array);
    return Buffer.concat(chunks).toString('utf8');
  } catch {
    return null;
  }
}

/** The answer of a call as a field of one document: `value`, or what it `threw`; none where it cannot be read. */
export function parseAnswer(run: Pick<RunRecord, 'call' | 'code'>, text: string | null): object {
  if (text === null) return {};
  try {
    const value: unknown = JSON.parse(text);
    // What is too deep to be written is not shown.
    JSON.stringify(value);
    return { [answerOf(run)?.kind === 'error' ? 'threw' : 'value']: value };
  } catch {
    return {};
  }
}
