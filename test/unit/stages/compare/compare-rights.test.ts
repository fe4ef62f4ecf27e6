import { expect, test } from '@jest/globals';
import { compareRights } from '../../../../src/stages/compare/compare-rights.js';
import type { Modules } from '../../../../src/model/sandbox.js';
import type { Network } from '../../../../src/model/network.js';
import type { SealedPlan } from '../../../../src/model/run-plan.js';

const isolated = (...names: string[]): Network => ({
  mode: 'isolated',
  ports: [],
  egress: names.map((name) => ({ name, port: 443, address: null })),
});
const compare = (before: Network, after: Network) =>
  compareRights({ network: before } as SealedPlan, { network: after } as SealedPlan).map(
    ({ right, widened }) => [right, widened],
  );

test('another name to reach is more, one less is not', () => {
  expect(compare(isolated('a.test'), isolated('a.test', 'b.test'))).toEqual([['network.egress', true]]);
  expect(compare(isolated('a.test', 'b.test'), isolated('b.test'))).toEqual([['network.egress', false]]);
  expect(compare({ mode: 'none' }, isolated('a.test'))).toContainEqual(['network.mode', true]);
  expect(compare(isolated('a.test'), { mode: 'none' })).toContainEqual(['network.mode', false]);
});

test('a longer list of modules is more, and none at all is most', () => {
  const plan = (modules?: Modules) =>
    ({ network: { mode: 'none' }, ...(modules && { modules }) }) as SealedPlan;
  const list = (...builtins: string[]): SealedPlan => plan({ builtins, packages: [] });
  const moved = (before: SealedPlan, after: SealedPlan) =>
    compareRights(before, after).map(({ right, widened, tightened }) => [right, widened, tightened]);
  expect(moved(list('url'), list('fs', 'url'))).toEqual([['modules.builtins', true, false]]);
  expect(moved(list('fs', 'url'), list('url'))).toEqual([['modules.builtins', false, true]]);
  expect(moved(list('fs'), list('url'))).toEqual([['modules.builtins', true, true]]);
  const both = (widened: boolean) =>
    ['modules.builtins', 'modules.packages'].map((right) => [right, widened, !widened]);
  expect(moved(list('fs'), plan())).toEqual(both(true));
  expect(moved(plan(), list('fs'))).toEqual(both(false));
  expect(moved(plan(), plan())).toEqual([]);
});

test('that functions can be called is a difference, and no right', () => {
  const plan = { network: { mode: 'none' } } as SealedPlan;
  const [change] = compareRights(plan, { ...plan, call: 1 });
  expect(change).toMatchObject({ right: 'call', from: null, to: 1, widened: false, tightened: false });
});
