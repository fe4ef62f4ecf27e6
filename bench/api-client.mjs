// A bare client of the engine's API: the calls that a run needs, and nothing else. Prints the milliseconds from the first
// request to the last answer. api-client.mjs SOCKET OPTIONS.json
import { readFileSync } from 'node:fs';
import { request } from 'node:http';

const [socketPath, file] = process.argv.slice(2);
const options = JSON.parse(readFileSync(file, 'utf8'));

function call(method, path, body) {
  return new Promise((resolve, reject) => {
    const text = body === undefined ? undefined : JSON.stringify(body);
    const headers =
      text === undefined
        ? {}
        : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) };
    const sending = request({ socketPath, method, path, headers }, (response) => {
      const chunks = [];
      response.on('data', (chunk) => chunks.push(chunk));
      response.on('end', () => {
        const answer = Buffer.concat(chunks).toString();
        if (response.statusCode >= 400)
          reject(new Error(`${method} ${path}: ${response.statusCode} ${answer}`));
        else resolve(answer === '' ? null : JSON.parse(answer));
      });
    });
    sending.on('error', reject);
    sending.end(text);
  });
}

function attach(id) {
  return new Promise((resolve, reject) => {
    const sending = request({
      socketPath,
      method: 'POST',
      path: `/containers/${id}/attach?stream=1&stdout=1&stderr=1`,
      headers: { Connection: 'Upgrade', Upgrade: 'tcp' },
    });
    sending.on('upgrade', (_response, socket) => {
      const chunks = [];
      socket.on('data', (chunk) => chunks.push(chunk));
      const ended = new Promise((done) => socket.on('end', () => done(Buffer.concat(chunks))));
      resolve({ socket, ended });
    });
    sending.on('error', reject);
    sending.end();
  });
}

const begin = performance.now();
await call('GET', `/images/${options.Image}/json`);
const { Id } = await call('POST', '/containers/create', options);
const { socket, ended } = await attach(Id);
await call('POST', `/containers/${Id}/start`);
const { StatusCode } = await call('POST', `/containers/${Id}/wait`);
const output = await ended;
socket.destroy();
await call('GET', `/containers/${Id}/json`);
await call('DELETE', `/containers/${Id}`);
const milliseconds = performance.now() - begin;
if (StatusCode !== 0 || output.length === 0)
  throw new Error(`the program ended with ${StatusCode}: ${output}`);
console.log(milliseconds);
