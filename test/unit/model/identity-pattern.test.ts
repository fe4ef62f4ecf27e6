import { describe, expect, test } from '@jest/globals';
import { anchorIdentityPattern, explainIdentityPattern } from '../../../src/model/identity-pattern.js';

describe('an expression for identities (ATTACKS B07)', () => {
  test.each([
    ['^https://github\\.com/acme/images/\\.github/workflows/release\\.yml@refs/tags/v.*$'],
    ['^https:\\/\\/github\\.com\\/acme\\/.*$'],
    ['^https://github\\.com/acme/(?:images|base)/[a-z]+@refs/heads/main$'],
    ['^https://gitlab\\.example\\.com:8443/acme/[^/]+/.*$'],
    ['^spiffe://example\\.com/ns/build-[0-9]{1,3}$'],
    ['^[a-z.]+@example\\.com$'],
    ['^release\\+bot@mail\\.example\\.com$'],
  ])('%s is sound', (pattern) => {
    expect(explainIdentityPattern(pattern)).toBeNull();
  });

  test.each([
    ['has no anchors', 'https://github\\.com/acme/images', /begin with \^/],
    ['is open at the start', 'https://github\\.com/acme/.*$', /begin with \^/],
    ['is open at the end', '^https://github\\.com/acme/.*', /end with \$/],
    ['ends with a dollar that is a letter', '^https://github\\.com/acme/x\\$', /no expression/],
    ['has an alternative that its anchors do not bind', '^https://github\\.com/acme/x|.*$', /alternatives/],
    ['closes the group that anchors it', '^https://github\\.com/acme/x)|(?:.*$', /no expression/],
    ['leaves the owner open', '^https://github\\.com/.*$', /literal up to the owner/],
    ['leaves the host open', '^https://.*/acme/images/.*$', /literal up to the owner/],
    ['leaves the scheme open', '^.*$', /literal up to the owner/],
    ['lets the owner go on', '^https://github\\.com/acme.*$', /literal up to the owner/],
    ['makes the last slash optional', '^https://github\\.com/acme/?.*$', /literal up to the owner/],
    ['repeats the last slash from nought', '^https://github\\.com/acme/{0,3}.*$', /literal up to the owner/],
    ['has a bare dot in the host', '^https://github.com/acme/.*$', /literal up to the owner/],
    ['has alternatives for the owner', '^https://github\\.com/(acme|evil)/.*$', /literal up to the owner/],
    ['leaves the domain open', '^release@.*$', /literal up to the owner/],
    ['has a local part that could be an URL', '^.*@example\\.com$', /literal up to the owner/],
    ['has a local part that excludes only something', '^[^@]+@example\\.com$', /literal up to the owner/],
    ['has a bare dot in the domain', '^release@example.com$', /literal up to the owner/],
    ['turns on flags', '^(?i)https://github\\.com/acme/.*$', /no expression/],
    ['looks ahead', '^https://github\\.com/acme/(?=x).*$', /no expression/],
    ['quotes as only Go does', '^\\Qhttps://github.com/acme/\\E.*$', /no expression/],
    ['ends the text in the middle', '^https://github\\.com/acme/x\\z.*$', /no expression/],
    ['has an anchor in the middle', '^https://github\\.com/acme/x$y$', /at its ends only/],
    ['has a set in a set', '^https://github\\.com/acme/[[:alpha:]]$', /no expression/],
    ['has a space', '^https://github\\.com/acme/ .*$', /begin with \^/],
    ['is empty', '^$', /literal up to the owner/],
  ])('what %s is not', (_what, pattern, reason) => {
    expect(explainIdentityPattern(pattern)).toMatch(reason);
  });

  test('is grouped for cosign, so that both anchors hold for all of it', () => {
    expect(anchorIdentityPattern('^a|b$')).toBe('^(?:a|b)$');
  });
});
