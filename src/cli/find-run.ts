import { nearestId, SjsError, type RunRecord, type Sjs } from '../index.js';
import { nameOfTag } from './run-list.js';

/** A ULID, or a beginning of one: the first digit is at most 7 for the next 8000 years. */
const RUN_ID = /^[0-7][0-9A-HJKMNP-TV-Z]{5,25}$/i;

/** What an id can become in somebody's fingers. */
const LIKE_ID = /^[0-9A-Z]{6,28}$/i;

/** Among how many of the newest runs the one is looked for that was probably meant. */
const MOST_RUNS = 500;

/** The run a target names; null when it names none and can be a sealed image instead. */
async function findRunOrNull(target: string, sjs: Pick<Sjs, 'findRun'>): Promise<RunRecord | null> {
  if (!RUN_ID.test(target)) return null;
  try {
    return await sjs.findRun(target);
  } catch (error) {
    const canBeImage = target.length < 26 && target === target.toLowerCase();
    if (error instanceof SjsError && error.code === 'RUN_NOT_FOUND' && canBeImage) return null;
    throw error;
  }
}

/** Does something with the run that a target names, or with null when it can only be a sealed image. */
export async function withRunOrImage<T>(
  target: string,
  sjs: Pick<Sjs, 'findRun' | 'listRecords'>,
  act: (run: RunRecord | null) => Promise<T>,
): Promise<T> {
  return suggestRun(target, sjs, async () => act(await findRunOrNull(target, sjs)));
}

/**
 * Does something with the run that a target names. Where a sealed image is named instead, the error says which was its
 * newest run.
 */
export async function withRun<T>(
  verb: string,
  target: string,
  sjs: Pick<Sjs, 'listRuns' | 'listRecords'>,
  act: (id: string) => Promise<T>,
): Promise<T> {
  try {
    return await suggestRun(target, sjs, () => act(target));
  } catch (error) {
    if (!(error instanceof SjsError) || error.code !== 'RUN_NOT_FOUND') throw error;
    const where = ({ tag, imported }: RunRecord): boolean =>
      !imported && (tag === target || tag === `sjs/${target}` || nameOfTag(tag) === target);
    const [newest] = await sjs.listRuns({ where, limit: 1 });
    if (!newest) throw error;
    throw new SjsError('RUN_NOT_FOUND', `${target} is a sealed image, not a run`, {
      next: `its newest run is ${newest.id}, which is ${newest.state}: sjs ${verb} ${newest.id}`,
    });
  }
}

/** Of a target that names nothing the error says which run was probably meant. */
export async function suggestRun<T>(
  target: string,
  sjs: Pick<Sjs, 'listRecords'>,
  act: () => Promise<T>,
): Promise<T> {
  try {
    return await act();
  } catch (error) {
    if (!LIKE_ID.test(target) || !(error instanceof SjsError)) throw error;
    if (!['RUN_NOT_FOUND', 'TARGET_NOT_FOUND'].includes(error.code)) throw error;
    const ids = (await sjs.listRecords({ limit: MOST_RUNS })).map(({ id }) => id);
    const meant = nearestId(target, ids);
    if (meant === undefined) throw error;
    throw new SjsError(error.code, error.message, {
      cause: error.cause,
      next: `did you mean ${meant}? sjs runs lists them`,
    });
  }
}
