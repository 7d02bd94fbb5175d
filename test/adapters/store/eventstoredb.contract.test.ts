/** The contract on EventStoreDB's protocol: on the real server that EVENTSTORE_URL names, else on our own. */
import { rmSync } from 'node:fs';
import { createMemoryServer, createTestLog, realServer } from '../../support/esdb.ts';
import { tamper } from '../../support/esdb-tamper.ts';
import { eventStoreContract, type LogHarness } from './contract.ts';

const name = realServer === undefined ? 'EventStoreDB protocol' : 'EventStoreDB';

function onOurServer(): LogHarness {
  const server = createMemoryServer();
  const log = createTestLog();
  return {
    async open({ full = false, verify: _always, ...options } = {}) {
      server.journal.maxBytes = full ? 256 * 1024 : Infinity;
      return log.open((await server.running()).url, options);
    },
    async tamper(change) {
      await server.stop();
      tamper(server.journal, log.prefix, change);
    },
    forgetKeptApart: () => rmSync(log.checkpointFile),
    async remove() {
      await server.stop();
      log.remove();
    },
  };
}

function onRealServer(url: string): LogHarness {
  const log = createTestLog();
  return {
    open: ({ full: _never, verify: _always, ...options } = {}) => log.open(url, options),
    tamper: () => {
      throw new Error('nobody tampers with a real server');
    },
    forgetKeptApart: () => rmSync(log.checkpointFile),
    remove: log.remove,
  };
}

if (realServer === undefined) eventStoreContract(name, onOurServer, ['positions']);
else eventStoreContract(name, () => onRealServer(realServer!), ['positions', 'tampering', 'a full disk']);
