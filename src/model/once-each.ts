import { canonicalJson } from './canonical-json.js';

/** Asks each question once, and gives everybody who asks the same the same answer, also one that is still to come. */
export function onceEach(): <T>(question: unknown, ask: () => Promise<T>) => Promise<T> {
  const asked = new Map<string, Promise<unknown>>();
  return <T>(question: unknown, ask: () => Promise<T>): Promise<T> => {
    const key = canonicalJson(question);
    const answer = (asked.get(key) as Promise<T> | undefined) ?? ask();
    asked.set(key, answer);
    return answer;
  };
}
