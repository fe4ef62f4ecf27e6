import Sequencer from '@jest/test-sequencer';

/**
 * Files that take far longer than their size says, longest first: begun late, one of them would keep a single worker busy
 * when the others are through.
 */
const LONG = [
  'property/policy',
  'property/records',
  'property/yaml',
  'property/tar',
  'property/streams',
  'property/seal',
  'property/answers',
  'integration/signed-seals',
  'integration/run-anything',
  'integration/faults',
  'integration/export',
  'integration/packages',
  'attack/gateway',
  'attack/output',
  'attack/tampering',
];

/** jest's own order, by what it remembers or by size, behind those. */
export default class extends Sequencer {
  sort(tests) {
    const rank = ({ path }) => {
      const place = LONG.findIndex((name) => path.endsWith(`/${name}.test.ts`));
      return place < 0 ? LONG.length : place;
    };
    return super.sort(tests).sort((one, other) => rank(one) - rank(other));
  }
}
