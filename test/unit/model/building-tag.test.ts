import { expect, test } from '@jest/globals';
import { formatBuildingTag, readBuildingTag } from '../../../src/model/building-tag.js';

const owner = {
  bootId: '01234567-89ab-cdef-0123-456789abcdef pid:[4026531836]',
  pid: 4194304,
  startTime: '18446744073709',
  home: '/home/somebody/.local/share/sjs',
};
const tag = formatBuildingTag(owner, '0123456789ab');

test('the tag of an image that is being built names its owner, in Docker’s grammar', () => {
  expect(tag).toMatch(/^sjs\/building:[0-9A-Za-z_][0-9A-Za-z_.-]{0,127}$/);
  expect(readBuildingTag(tag, owner.home)).toEqual(owner);
});

test.each([
  ['of another home', tag, '/elsewhere'],
  ['of a sandbox with that name', 'sjs/building:1.0.0-0123456789ab', owner.home],
  ['of another repository', tag.replace('building', 'built'), owner.home],
  ['with a part too much', `${tag}.x`, owner.home],
  ['with a pid that is none', tag.replace('.4194304.', '.0.'), owner.home],
])('a tag %s is left alone', (_name, given, home) => {
  expect(readBuildingTag(given, home)).toBeNull();
});
