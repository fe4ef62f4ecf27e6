import type { Readable } from 'node:stream';
import { SjsError } from '../../errors.js';
import { runProgram } from '../process/run-program.js';
import { withTemporaryFiles } from '../process/temporary-files.js';
import { BUILD_MS, CALL_MS, type DockerClient } from './client.js';
import type { Endpoint } from './endpoint.js';
import { cleanWords } from './engine-error.js';

/**
 * The same build through the docker command, for an engine whose API loses the context: Docker 26 and 27 with the
 * containerd image store take one only in a session, which this command opens. It gets nothing of the operator's
 * configuration, whose proxies would reach the build (ATTACKS D07).
 * @throws SjsError `BUILD_FAILED` with its words, or when it is not there.
 */
export function buildByCommand(
  { docker, call, endpoint, programPath }: DockerClient,
  context: Readable,
  tag: string,
  signal?: AbortSignal,
): Promise<string> {
  return withTemporaryFiles({ 'config.json': '{}' }, async (files) => {
    const folder = files['config.json'].slice(0, -'/config.json'.length);
    const result = await runProgram({
      program: 'docker',
      args: [
        ...['--config', folder, ...hostFlags(endpoint)],
        ...['build', '--tag', tag, '--network', 'none', '--build-arg', 'SOURCE_DATE_EPOCH=0'],
        // What it would add of its own makes an index out of the image.
        ...['--provenance=false', '--sbom=false', '--progress', 'plain', '-'],
      ],
      env: { PATH: programPath, HOME: folder, DOCKER_BUILDKIT: '1' },
      path: programPath,
      input: context,
      timeoutMs: BUILD_MS,
      signal,
    });
    if (result.missing) throw failed('the docker command is not in PATH');
    if (result.timedOut) throw new SjsError('ENGINE_TIMEOUT', 'the docker command did not end');
    if (result.exitCode !== 0) throw failed(cleanWords(result.stderr.slice(-2000)));
    // Its own word for the image is the config's digest, which is no name in this store.
    const inspect = (): Promise<{ readonly Id: string }> => docker.getImage(tag).inspect();
    return (await call('inspect the image that was built', CALL_MS, inspect, signal)).Id;
  });
}

function hostFlags(endpoint: Endpoint): readonly string[] {
  if (endpoint.kind === 'unix') return ['--host', `unix://${endpoint.socketPath}`];
  const { host, port, caFile, certFile, keyFile } = endpoint;
  const files = ['--tlscacert', caFile, '--tlscert', certFile, '--tlskey', keyFile];
  return ['--host', `tcp://${host}:${port}`, '--tlsverify', ...files];
}

function failed(why: string): SjsError {
  return new SjsError('BUILD_FAILED', `the build failed: ${why}`, {
    next: 'this engine builds through the docker command with its buildx plugin: see that `docker build` works',
  });
}
