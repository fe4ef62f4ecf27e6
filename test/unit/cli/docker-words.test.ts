import { expect, test } from '@jest/globals';
import { answerDockerWord } from '../../../src/cli/docker-words.js';
import { parseArgs } from '../../../src/cli/parse-args.js';
import { runVerb } from '../../../src/cli/verbs/run.js';

test.each([
  [['-v', '/a:/b'], 'USAGE', /folders of this machine/],
  [['--volume=/a:/b'], 'USAGE', /folders of this machine/],
  [['--mount', 'type=bind'], 'USAGE', /folders of this machine/],
  [['--privileged'], 'USAGE', /more rights/],
  [['--cap-add', 'NET_ADMIN'], 'USAGE', /more rights/],
  [['--security-opt', 'seccomp=unconfined'], 'USAGE', /more rights/],
  [['--device', '/dev/kvm'], 'USAGE', /more rights/],
  [['--network', 'host'], 'USAGE', /--network host/],
  [['--net=bridge'], 'USAGE', /--network bridge/],
  [['--network', 'isolated'], 'USAGE', /--network isolated/],
  [['-u', '0'], 'USAGE', /user is sealed/],
  [['--user', 'root'], 'USAGE', /user is sealed/],
  [['--pid', 'host'], 'USAGE', /shares nothing/],
  [['-p', '80:80'], 'USAGE', /sealed into the image/],
  [['--entrypoint', 'sh'], 'USAGE', /sealed into the image/],
  [['-it'], 'USAGE', /terminal/],
  [['-t'], 'USAGE', /terminal/],
  [['--read-only'], 'USAGE', /like that already/],
  [['--name', 'x'], 'NOT_YET', /--name/],
])('%j is answered', (words, code, message) => {
  expect(() => parseArgs('run', runVerb, [...words, 'job'])).toThrow(
    expect.objectContaining({
      code,
      message: expect.stringMatching(message),
      next: expect.any(String),
    }),
  );
});

test("docker's words that mean the same are taken", () => {
  expect(() =>
    parseArgs('run', runVerb, ['--rm', '-i', '-e', 'A=1', '-m', '64Mi', '--network=none', 'job']),
  ).not.toThrow();
  expect(answerDockerWord('constructor', true)).toBeNull();
});
