import assert from 'node:assert/strict';
import { test } from '@jest/globals';
import fc from 'fast-check';
import { SjsError } from '../../src/errors.js';
import { isDigest } from '../../src/model/digest.js';
import { formatReference, formatRepository, parseReference } from '../../src/model/reference.js';
import { anyText, attempt, check, DEADLINE_MS, mutatedText } from '../support/property.js';

// The grammar of distribution/reference, written out once more from its documentation.
const COMPONENT = '[a-z0-9]+(?:(?:[.]|_|__|-+)[a-z0-9]+)*';
const LABEL = '(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])';
const DOMAIN = `(?:${LABEL}(?:\\.${LABEL})*|\\[[0-9a-fA-F:]+\\])(?::[0-9]+)?`;
const NAME = `(?:${DOMAIN}/)?${COMPONENT}(?:/${COMPONENT})*`;
const REFERENCE = new RegExp(`^${NAME}(?::[\\w][\\w.-]{0,127})?(?:@sha256:[0-9a-f]{64})?$`);

const digest = fc.stringMatching(/^[0-9a-f]{64}$/).map((hex) => `sha256:${hex}` as const);
const registry = fc.oneof(
  fc.constantFrom(
    'registry.example.com',
    'localhost',
    'localhost:5000',
    '127.0.0.1:5000',
    '[::1]:5000',
    'docker.io',
  ),
  fc.stringMatching(/^[a-z0-9]{1,4}(-[a-z0-9]{1,3})?\.[A-Za-z]{2,4}(:[0-9]{1,5})?$/),
);
const component = fc.stringMatching(/^[a-z0-9]{1,5}((\.|_|__|-{1,3})[a-z0-9]{1,4}){0,2}$/);
const path = fc.array(component, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('/'));
const tag = fc.stringMatching(/^[A-Za-z0-9_][A-Za-z0-9._-]{0,12}$/);
const repository = fc
  .record({ registry, path })
  .filter((one) => one.registry !== 'docker.io' || one.path.includes('/'));
const valid = fc
  .tuple(repository, fc.option(tag), fc.option(digest))
  .map(
    ([name, version, pin]) =>
      `${name.registry}/${name.path}${version === null ? '' : `:${version}`}${pin === null ? '' : `@${pin}`}`,
  );
const TOKENS = [
  '/',
  ':',
  '@',
  '.',
  '..',
  '-',
  '_',
  '//',
  '[',
  ']',
  '%2f',
  'A',
  '@sha512:',
  'sha256:',
  'user:pw@',
  'https://',
  '\n',
];

test(
  'what is written is what is read',
  () =>
    check(
      fc.property(repository, tag, digest, (name, version, pin) => {
        assert.deepEqual(parseReference(formatRepository(name)), { ...name });
        assert.deepEqual(parseReference(formatReference({ ...name, tag: version })), {
          ...name,
          tag: version,
        });
        assert.deepEqual(parseReference(formatReference({ ...name, digest: pin })), { ...name, digest: pin });
        assert.deepEqual(parseReference(`${formatRepository(name)}:${version}@${pin}`), {
          ...name,
          tag: version,
          digest: pin,
        });
      }),
    ),
  DEADLINE_MS,
);

test(
  'any text is a reference by the grammar, which stays what it is when it is written, or a refusal',
  () =>
    check(
      fc.property(fc.oneof(anyText, mutatedText(valid, TOKENS)), (text) => {
        const found = attempt(() => parseReference(text));
        if (found instanceof SjsError) {
          assert.equal(found.code, 'REFERENCE_INVALID');
          return;
        }
        assert.match(text, REFERENCE);
        assert.ok(found.digest === undefined || isDigest(found.digest));
        const written = `${formatRepository(found)}${found.tag === undefined ? '' : `:${found.tag}`}${found.digest === undefined ? '' : `@${found.digest}`}`;
        assert.deepEqual(parseReference(written), found);
        // It stands in an argument list and in a FROM: never an option, never more than one word.
        assert.match(written, /^[A-Za-z0-9[][^\s"'`$\\]*$/);
        assert.ok(
          text === written ||
            written === `docker.io/${text}` ||
            written === `docker.io/library/${text.replace(/^docker\.io\//, '')}`,
        );
      }),
    ),
  DEADLINE_MS,
);
