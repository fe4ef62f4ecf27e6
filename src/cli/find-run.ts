import { SjsError, type RunRecord, type Sjs } from '../index.js';
import { nameOfTag } from './run-list.js';

/** A ULID, or a beginning of one: the first digit is at most 7 for the next 8000 years. */
const RUN_ID = /^[0-7][0-9A-HJKMNP-TV-Z]{5,25}$/i;

/** The run a target names; null when it names none and can be a sealed image instead. */
export async function findRunOrNull(target: string, sjs: Sjs): Promise<RunRecord | null> {
  if (!RUN_ID.test(target)) return null;
  try {
    return await sjs.findRun(target);
  } catch (error) {
    const canBeImage = target.length < 26 && target === target.toLowerCase();
    if (error instanceof SjsError && error.code === 'RUN_NOT_FOUND' && canBeImage) return null;
    throw error;
  }
}

/**
 * Does something with the run that a target names. Where a sealed image is named instead, the error says which was its
 * newest run.
 */
export async function withRun<T>(
  verb: string,
  target: string,
  sjs: Pick<Sjs, 'listRuns'>,
  act: (id: string) => Promise<T>,
): Promise<T> {
  try {
    return await act(target);
  } catch (error) {
    if (!(error instanceof SjsError) || error.code !== 'RUN_NOT_FOUND') throw error;
    const where = ({ tag }: RunRecord): boolean =>
      tag === target || tag === `sjs/${target}` || nameOfTag(tag) === target;
    const [newest] = await sjs.listRuns({ where, limit: 1 });
    if (!newest) throw error;
    throw new SjsError('RUN_NOT_FOUND', `${target} is a sealed image, not a run`, {
      next: `its newest run is ${newest.id}, which is ${newest.state}: sjs ${verb} ${newest.id}`,
    });
  }
}
