import { expect, test } from '@jest/globals';
import { groupRemains } from '../../../../src/adapters/docker/find-runs.js';
import {
  gatewayName,
  networkName,
  outName,
  ownerLabels,
  readOwnerLabels,
  sandboxName,
} from '../../../../src/adapters/docker/owner-labels.js';

const owner = { bootId: 'b', pid: 7, startTime: '9', home: '/h' };
const id = '01JD0000000000000000000000';
const labels = ownerLabels(id, owner);

test('labels say run and owner, and nothing else is believed', () => {
  expect(readOwnerLabels(labels)).toEqual({ runId: id, owner });
  expect(readOwnerLabels(null)).toBeNull();
  expect(readOwnerLabels({ ...labels, 'dev.sjs.run.owner': '{' })).toBeNull();
  expect(readOwnerLabels({ ...labels, 'dev.sjs.run.owner': '{"pid":"7"}' })).toBeNull();
  expect(readOwnerLabels({ ...labels, 'dev.sjs.run.home': '/other' })).toBeNull();
});

test('containers and volumes of one run are one entry', () => {
  const found = groupRemains(
    [
      { Id: '1', Names: [`/${sandboxName(id)}`], State: 'running', Labels: labels },
      { Id: '2', Names: [`/${outName(id)}`], State: 'exited', Labels: labels },
      { Id: '4', Names: [`/${gatewayName(id)}`], State: 'running', Labels: labels },
      { Id: '3', Names: ['/some_name'], State: 'created', Labels: ownerLabels('scan', owner) },
    ],
    [{ Name: outName(id), Labels: labels }],
    [{ Name: networkName(id), Labels: labels }],
  );
  expect(found).toEqual([
    {
      runId: id,
      owner,
      hasSandbox: true,
      hasGateway: true,
      others: ['2'],
      volumes: [outName(id)],
      networks: [networkName(id)],
    },
    {
      runId: 'scan',
      owner,
      hasSandbox: false,
      hasGateway: false,
      others: ['3'],
      volumes: [],
      networks: [],
    },
  ]);
});

test('a stranger’s container or volume with inherited labels is not ours (X19)', () => {
  const containers = [{ Id: '1', Names: ['/job'], State: 'running', Labels: labels }];
  expect(
    groupRemains(containers, [{ Name: 'data', Labels: labels }], [{ Name: 'net', Labels: labels }]),
  ).toEqual([]);
  expect(
    groupRemains([{ Id: '1', Names: [`/${sandboxName(id)}`], State: 'running', Labels: {} }], [], []),
  ).toEqual([]);
});

test('a list with anything else in it is read all the same', () => {
  const sandbox = { Id: 'c1', Names: [`/${sandboxName(id)}`], State: 'running', Labels: labels };
  const strange = [null, 7, { Id: 'c2', Names: [7], State: 'created', Labels: { 'dev.sjs.run.id': 7 } }];
  expect(groupRemains([...strange, sandbox, { ...sandbox, Names: 'x' }], null, null)).toEqual([
    {
      runId: id,
      owner,
      hasSandbox: true,
      hasGateway: false,
      others: [],
      volumes: [],
      networks: [],
    },
  ]);
  expect(groupRemains({}, 'x', 7)).toEqual([]);
});

test('the mark of a container that was started ahead is told, as it stands there', () => {
  const marked = { ...labels, 'dev.sjs.run.mark': 'abc' };
  const found = groupRemains([{ Id: '1', Names: [`/${sandboxName(id)}`], Labels: marked }], [], []);
  expect(found).toMatchObject([{ runId: id, mark: 'abc' }]);
});
