import { expect, test } from '@jest/globals';
import { describeOtherScene, readScene } from '../../../src/cli/pool-scene.js';

test('what decides on policy and engine has to be the same', () => {
  const scene = readScene({ HOME: '/a', SJS_POLICY: '/p', PATH: '/bin', DOCKER_HOST: '' }, undefined);
  expect(scene).toEqual({
    'version of sjs': expect.stringMatching(/^\d+\.\d+\.\d+/),
    HOME: '/a',
    '--policy or SJS_POLICY': '/p',
  });
  expect(describeOtherScene(scene, readScene({ HOME: '/a', PATH: '/other' }, '/p'))).toBeNull();
  expect(describeOtherScene(scene, readScene({ HOME: '/a' }, '/q'))).toBe('--policy or SJS_POLICY');
  expect(describeOtherScene(scene, readScene({ HOME: '/a' }, undefined))).toBe('--policy or SJS_POLICY');
  for (const name of [
    'HOME',
    'XDG_CONFIG_HOME',
    'DOCKER_HOST',
    'DOCKER_CONTEXT',
    'DOCKER_CONFIG',
    'DOCKER_TLS_VERIFY',
    'DOCKER_CERT_PATH',
  ]) {
    expect(
      describeOtherScene(scene, readScene({ HOME: '/a', SJS_POLICY: '/p', [name]: '/other' }, undefined)),
    ).toBe(name);
  }
  expect(describeOtherScene(scene, { ...scene, 'version of sjs': '0.0.0' })).toBe('version of sjs');
});
