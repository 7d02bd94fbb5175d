/** A server that speaks EventStoreDB's gRPC protocol over an embedded log: for tests, and for those who want no cluster. */
import { randomUUID } from 'node:crypto';
import { Server, ServerCredentials, type handleUnaryCall } from '@grpc/grpc-js';
import features from '@eventstore/db-client/generated/serverfeatures_pb.js';
import featuresGrpc from '@eventstore/db-client/generated/serverfeatures_grpc_pb.js';
import gossip from '@eventstore/db-client/generated/gossip_pb.js';
import gossipGrpc from '@eventstore/db-client/generated/gossip_grpc_pb.js';
import shared from '@eventstore/db-client/generated/shared_pb.js';
import streamsGrpc from '@eventstore/db-client/generated/streams_grpc_pb.js';
import type { ClusterInfo } from '@eventstore/db-client/generated/gossip_pb.js';
import type { Empty } from '@eventstore/db-client/generated/shared_pb.js';
import type { SupportedMethods } from '@eventstore/db-client/generated/serverfeatures_pb.js';
import { appendHandler, batchAppendHandler } from './append-service.ts';
import { createFaults, type Faults } from './faults.ts';
import { createMemoryJournal, type Journal } from './journal.ts';
import { createEmbeddedLog } from './log.ts';
import { readHandler } from './read-service.ts';

export interface EsdbServerOptions {
  /** A journal in memory when absent. Hand the same one to the next server for a restart. */
  readonly journal?: Journal;
  /** 127.0.0.1 when absent: the server has no passwords and no TLS. */
  readonly host?: string;
  /** A free one when absent. */
  readonly port?: number;
}

export interface EsdbServer {
  readonly port: number;
  /** What clients of EventStoreDB connect to. */
  readonly url: string;
  readonly faults: Faults;
  /** Makes durable what was taken, then breaks the connections. Idempotent. */
  close(): Promise<void>;
  /** Breaks every connection and loses what was not durable, as SIGKILL would. Idempotent. */
  kill(): Promise<void>;
}

/** Rejects when the port is taken. */
export async function startEsdbServer(options: EsdbServerOptions = {}): Promise<EsdbServer> {
  const { journal = createMemoryJournal(), host = '127.0.0.1' } = options;
  const faults = createFaults();
  const log = createEmbeddedLog(journal);
  const server = new Server({ 'grpc.max_receive_message_length': 17 << 20 });
  server.addService(streamsGrpc.StreamsService, {
    batchAppend: batchAppendHandler(log, faults),
    append: appendHandler(log, faults),
    read: readHandler(log, faults),
  });
  server.addService(featuresGrpc.ServerFeaturesService, { getSupportedMethods: unary(faults, supportedMethods) });
  server.addService(gossipGrpc.GossipService, { read: unary(faults, () => clusterInfo(host, port)) });
  const port = await bind(server, `${host}:${options.port ?? 0}`);

  let ending: Promise<void> | undefined;
  const end = async (): Promise<void> => {
    log.close();
    faults.thaw();
    server.forceShutdown();
    // The sockets are gone one turn later.
    await new Promise((resolve) => setImmediate(resolve));
  };
  return {
    port,
    url: `esdb://${host}:${port}?tls=false`,
    faults,
    close: () => (ending ??= log.idle().then(end)),
    kill: () => (ending ??= end()),
  };
}

function bind(server: Server, address: string): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync(address, ServerCredentials.createInsecure(), (error, port) =>
      error === null ? resolve(port) : reject(error),
    );
  });
}

function unary<T>(faults: Faults, answer: () => T): handleUnaryCall<Empty, T> {
  return (_call, respond) => void faults.gate().then(() => respond(null, answer()));
}

const STREAMS = 'event_store.client.streams.Streams';
/** What our server does; a client asks before it uses BatchAppend or expects `caughtUp`. */
const METHODS: readonly (readonly [service: string, method: string, features: readonly string[]])[] = [
  [STREAMS, 'read', ['position', 'events']],
  [STREAMS, 'append', []],
  [STREAMS, 'batchappend', ['deadline_duration']],
  ['event_store.client.gossip.Gossip', 'read', []],
  ['event_store.client.server_features.ServerFeatures', 'getsupportedmethods', []],
];

function supportedMethods(): SupportedMethods {
  const methods = METHODS.map(([service, method, list]) =>
    new features.SupportedMethod().setServiceName(service).setMethodName(method).setFeaturesList([...list]),
  );
  return new features.SupportedMethods().setEventStoreServerVersion('23.10.6.0').setMethodsList(methods);
}

const INSTANCE = randomUUID();

/** A cluster of one. */
function clusterInfo(host: string, port: number): ClusterInfo {
  const member = new gossip.MemberInfo()
    .setInstanceId(new shared.UUID().setString(INSTANCE))
    .setTimeStamp(String(Date.now()))
    .setState(gossip.MemberInfo.VNodeState.LEADER)
    .setIsAlive(true)
    .setHttpEndPoint(new gossip.EndPoint().setAddress(host).setPort(port));
  return new gossip.ClusterInfo().setMembersList([member]);
}
