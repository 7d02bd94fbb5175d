/** The definitions of the commands that talk to a running node over its API. */
import type { Command } from 'commander';
import {
  addressCommand, channelsCommand, connectCommand, decodeCommand, disconnectCommand, getinfoCommand, invoiceCommand, peersCommand, sendCommand, stopCommand,
  type AddressOptions, type AskOptions, type ChannelsOptions, type InvoiceOptions, type SendOptions,
} from './ask.ts';
import { eventsCommand, type EventsOptions } from './events.ts';
import { examples, type Run } from './help.ts';
import { closeCommand, openCommand, type CloseOptions, type OpenOptions } from './open-close.ts';
import type { Io } from './output.ts';
import { payCommand, type PayOptions } from './pay.ts';

const DATA = 'the data folder of the node that is meant (FULGURITE_DATA, else ~/.fulgurite)';

export function addAskCommands(program: Command, io: Io, run: Run): void {
  const ask = (name: string, description: string, ...lines: readonly string[]): Command =>
    program.command(name).description(description).option('--data <dir>', DATA).option('--json', 'print the answer as JSON').addHelpText('after', examples(...lines));

  ask('getinfo', 'who the node is, and where it stands', 'getinfo', 'getinfo --data ./alice --json')
    .action((options: AskOptions) => run(() => getinfoCommand(options, io)));

  ask('connect', 'connect to a peer, and keep connected over restarts', 'connect 02ab...@203.0.113.7:9735')
    .argument('<address>', 'NODE_ID@HOST:PORT, as the peer\'s getinfo shows it')
    .action((address: string, options: AskOptions) => run(() => connectCommand(address, options, io)));

  ask('disconnect', 'let a peer go; it may come back by itself', 'disconnect 02ab...')
    .argument('<node_id>')
    .action((node_id: string, options: AskOptions) => run(() => disconnectCommand(node_id, options, io)));

  ask('peers', 'peers connected now', 'peers')
    .action((options: AskOptions) => run(() => peersCommand(options, io)));

  ask('address', 'a new address to be paid at on chain', 'address', 'address --purpose "from the exchange"')
    .option('--purpose <text>', 'kept in the log')
    .action((options: AddressOptions) => run(() => addressCommand(options, io)));

  ask('send', 'send coins of the wallet to an address', 'send bcrt1q... 25000', 'send bcrt1q... 0.001btc --feerate 2000')
    .argument('<address>')
    .argument('<amount>', 'in sat unless it says btc')
    .option('--feerate <rate>', 'sat per 1000 weight units; today\'s for six blocks if left out')
    .option('--idempotency-key <key>', 'the same key again sends nothing new')
    .action((address: string, amount: string, options: SendOptions) => run(() => sendCommand(address, amount, options, io)));

  ask('open', 'open a channel; ends when the peer has signed, with --wait when it can be used', 'open 02ab...@203.0.113.7:9735 250000', 'open 02ab... 0.01btc --push 50000 --wait')
    .argument('<peer>', 'NODE_ID of a connected peer, or NODE_ID@HOST:PORT')
    .argument('<amount>', 'what we put in, in sat unless it says btc')
    .option('--push <amount>', 'what the peer gets of it at once')
    .option('--private', 'not announced to the network; payers find it by the invoices of its ends')
    .option('--zero-conf', 'use it before its funding is in a block; the peer must trust us with that')
    .option('--type <type>', 'anchors or static_remotekey')
    .option('--close-to <address>', 'the only one that a mutual close will pay; the peer holds us to it')
    .option('--wait', 'until the channel can be used')
    .option('--idempotency-key <key>', 'the same key again opens nothing new')
    .action((peer: string, amount: string, options: OpenOptions) => run(() => openCommand(peer, amount, options, io)));

  ask('channels', 'channels and their balances', 'channels', 'channels --all --json')
    .option('--all', 'those that ended, too')
    .action((options: ChannelsOptions) => run(() => channelsCommand(options, io)));

  ask('invoice', 'ask for money (BOLT 11)', 'invoice 25000 "two coffees"', 'invoice any donation', 'pay $(fulgurite invoice 1000 test -q --data ./bob) --data ./alice')
    .argument('<amount>', 'in sat unless it says msat or btc; `any` leaves it to the payer')
    .argument('[description]', 'what it is for; the payer reads it')
    .option('--expiry <seconds>', 'how long it can be paid', '3600')
    .option('-q, --quiet', 'print the invoice alone')
    .action((amount: string, description: string | undefined, options: InvoiceOptions) => run(() => invoiceCommand(amount, description, options, io)));

  ask('decode', 'what an invoice says; its signature is checked', 'decode lnbc1...')
    .argument('<invoice>')
    .action((invoice: string, options: AskOptions) => run(() => decodeCommand(invoice, options, io)));

  ask('pay', 'pay an invoice, and stay until that has ended', 'pay lnbc1...', 'pay lnbc1... --amount 5000 --fee-limit 20')
    .argument('<invoice>')
    .option('--amount <amount>', 'where the invoice leaves it open')
    .option('--fee-limit <amount>', 'the most that the way may cost; 1 % if left out')
    .option('--attempts <count>', 'ways to try; 10 if left out')
    .option('--idempotency-key <key>', 'the same key again asks for the same payment')
    .action((invoice: string, options: PayOptions) => run(() => payCommand(invoice, options, io)));

  ask('close', 'close a channel with its peer, or with --force without', 'close 812345x7x0', 'close 812345x7x0 --feerate 2500 --to bc1q...', 'close channel-02ab...-0 --force --wait')
    .argument('<channel>', 'its short_channel_id, channel_id, funding outpoint or stream')
    .option('--force', 'publish our own commitment; our part is locked for to_self_delay blocks')
    .option('--feerate <rate>', 'sat per 1000 weight units; on a close under way: a dearer transaction in place of the last')
    .option('--to <address>', 'where our part goes; our wallet if left out')
    .option('--wait', 'until nothing of it is left on chain')
    .action((channel: string, options: CloseOptions) => run(() => closeCommand(channel, options, io)));

  ask('events', 'the log, event by event', 'events', 'events --follow --type PaymentSucceeded,InvoiceSettled', 'events --after 1200 --limit 500 --json')
    .option('--follow', 'stay, and print what comes')
    .option('--after <position>', 'from behind this position; the last ones if left out')
    .option('--limit <count>', 'at most so many that are there already', '20')
    .option('--type <names>', 'only these types, with commas between them')
    .option('--stream <prefix>', 'only streams whose name begins so')
    .action((options: EventsOptions) => run(() => eventsCommand(options, io)));

  ask('stop', 'end the node in good order', 'stop', 'stop --data ./alice')
    .action((options: AskOptions) => run(() => stopCommand(options, io)));
}
