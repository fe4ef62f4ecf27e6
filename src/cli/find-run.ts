import { SjsError, type RunRecord, type Sjs } from '../index.js';

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
