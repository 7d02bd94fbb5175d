/** The child's side of node-processes.ts: one real node, asked over IPC. Started by fork, never imported. */
import { startNode, type NodeOptions, type RunningNode } from '../../src/main.ts';
import type { Msat } from '../../src/bolt/primitives.ts';
import { linkedChain } from './chain-link.ts';
import type { Call, ChildMethods, StartMessage } from './node-processes.ts';

/** What a child does beyond the node's own verbs: loops that would drown in IPC. */
function methodsOf(node: RunningNode): ChildMethods {
  return {
    about: async () => ({ node_id: node.node_id, host: node.host, port: node.port }),
    connect: (peer) => node.connect(peer),
    fundingScript: async () => (await node.wallet.address('test')).script_pubkey,
    walletBalance: () => node.wallet.balance(),
    openChannel: (request) => node.openChannel(request),
    closeChannel: (stream, options) => node.closeChannel(stream, options),
    channels: async () => node.channels().map(({ stream, state, usable }) => ({ stream, phase: state.phase, usable })),
    edges: async () => node.graph().channels.size,
    reached: (height) => node.reached(height),
    settled: () => node.settled(),
    stop: () => node.stop(),
    pay: (request) => node.pay(request),
    invoices: async (count, amount_msat) => Promise.all(Array.from({ length: count }, () => invoice(node, amount_msat))),
    payAll: (bolt11s, inFlight) => payAll(node, bolt11s, inFlight),
  };
}

async function invoice(node: RunningNode, amount_msat: Msat): Promise<string> {
  const made = await node.createInvoice({ amount_msat, description: 'test', expiry: 86_400 });
  if (made.status !== 'created') throw new Error(`no invoice: ${made.refusal.code}`);
  return made.bolt11;
}

/** Latencies in ms, and how each failed payment failed. */
async function payAll(node: RunningNode, bolt11s: readonly string[], inFlight: number): Promise<Awaited<ReturnType<ChildMethods['payAll']>>> {
  const latencies: number[] = [];
  const failures: string[] = [];
  let next = 0;
  const started = performance.now();
  const worker = async (): Promise<void> => {
    for (let bolt11 = bolt11s[next++]; bolt11 !== undefined; bolt11 = bolt11s[next++]) {
      const from = performance.now();
      const result = await node.pay({ bolt11 });
      latencies.push(performance.now() - from);
      if (result.status === 'failed') failures.push(`${result.code}: ${result.reason}`);
      if (result.status === 'refused') failures.push(result.refusal.code);
    }
  };
  await Promise.all(Array.from({ length: inFlight }, worker));
  return { milliseconds: performance.now() - started, latencies, failures };
}

process.once('message', (message: StartMessage) => {
  const { options, chain } = message;
  const started: NodeOptions = { ...options, chain: linkedChain(chain), onLog: (line) => message.verbose && console.error(`${options.name}: ${line}`) };
  void startNode(started).then(
    (node) => serve(methodsOf(node)),
    (error: Error) => process.send!({ ready: false, error: error.message }),
  );
});

function serve(methods: ChildMethods): void {
  process.on('message', (message: Call) => {
    if (!('call' in message)) return;
    const method = methods[message.call] as (...args: readonly unknown[]) => Promise<unknown>;
    void method(...message.args).then(
      (value) => process.send!({ id: message.id, value }),
      (error: Error) => process.send!({ id: message.id, error: error.message }),
    );
  });
  process.send!({ ready: true });
}

