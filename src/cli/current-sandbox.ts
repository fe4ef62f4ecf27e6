import { AsyncLocalStorage } from 'node:async_hooks';

const current = new AsyncLocalStorage<string>();

/** Does something for one sandbox among several: what is said meanwhile begins with its name. */
export const workOn = <T>(name: string, act: () => Promise<T>): Promise<T> => current.run(name, act);

/** The sandbox among several that is worked on just now; undefined when it is only one. */
export const currentSandbox = (): string | undefined => current.getStore();
