/** One mailbox per channel: gather, decide, append, sign, send. The order of these steps is the safety of the node. */
import type { Message } from '../bolt/messages.ts';
import type { Hex32 } from '../bolt/primitives.ts';
import type { ChannelCommand, CloseFeatures } from '../domain/channel/commands.ts';
import { commitmentIsDue } from '../domain/channel/committing.ts';
import { decideChannel } from '../domain/channel/decide.ts';
import { owedToChain } from '../domain/channel/effects.ts';
import { evolveChannel } from '../domain/channel/evolve.ts';
import { assertInvariants } from '../domain/channel/invariants.ts';
import { shutdownIsDue } from '../domain/channel/shutdown.ts';
import { channelIdOf, initialChannel, isLive, type ChannelState } from '../domain/channel/state.ts';
import { describeRefusal, type Refusal } from '../domain/decider.ts';
import type { ChannelEvent } from '../events/channel/index.ts';
import type { EventEnvelope } from '../events/envelope.ts';
import type { Cause, StreamId } from '../events/store.ts';
import type { ChannelContext, Session } from './channel-context.ts';
import { closeFeatures, closingFollowUp, closingPatience, judgeWish, type CloseWish } from './close-channel.ts';
import { deriveAhead } from './derive-ahead.ts';
import { commandId, type ChannelPort, type Outcome } from './dispatch.ts';
import { fundingCommand } from './funding-command.ts';
import { gatherMessage, toData, type Gathered } from './gather.ts';
import type { ChannelIntent } from './intents.ts';
import { broadcast, mayComeFirst, prepare, sendAll, type Prepared } from './outgoing.ts';
import { openingWords } from './perform.ts';
import { streamCorrelation, Turn, type Input, type Line, type StepDetails } from './turn.ts';
import { createTurnAhead } from './turn-ahead.ts';

/** Inputs taken into one append at most: its size stays far below what a store takes. */
const MAX_BATCH = 128;
/** Messages of one peer that may wait here; beyond it the peer's socket is not read. */
const MAX_WAITING = 1024;
/** Command ids of offers remembered against redelivery: sagas redeliver only what lies behind their cursor, far fewer. */
const REMEMBERED_COMMANDS = 65_536;

export class ChannelLoop implements ChannelPort {
  readonly stream: StreamId;
  readonly #context: ChannelContext;
  #state: ChannelState = initialChannel;
  #revision: bigint | 'none' = 'none';
  readonly #inputs: Input[] = [];
  readonly #seen = new Set<Hex32>();
  #waiters: (() => void)[] = [];
  #session: Session | undefined;
  #reestablished = false;
  #running: Promise<void> | undefined;
  #closeWanted = false;
  #wish: CloseWish = {};
  readonly #patience = closingPatience();
  #fundingStarted = false;
  #halted: Error | undefined;
  readonly #ahead = createTurnAhead();
  /** Part of our command ids: what is decided again after a failed append is another command. */
  #recoveries = 0;

  constructor(stream: StreamId, context: ChannelContext) {
    this.stream = stream;
    this.#context = context;
  }

  get state(): ChannelState {
    return this.#state;
  }

  get revision(): bigint | 'none' {
    return this.#revision;
  }

  /** Updates may flow now. */
  get usable(): boolean {
    return this.#reestablished && this.#state.phase === 'normal';
  }

  /** Takes one event of the stream from the log, in order, before the loop runs. */
  replay({ event, revision, causation_id }: EventEnvelope): void {
    this.#state = evolveChannel(this.#state, event as ChannelEvent);
    this.#revision = revision;
    if (event.type === 'UpdateAddHtlcSent' || event.type === 'HtlcOfferDeclined') this.#remember(causation_id);
  }

  /** Rebuilds the state from the stream. */
  async #reload(): Promise<void> {
    this.#state = initialChannel;
    this.#revision = 'none';
    // What was remembered of a turn that did not become durable must be granted when it is asked for again.
    this.#seen.clear();
    for await (const envelope of this.#context.store.read(this.stream)) this.replay(envelope);
  }

  // ---- inputs

  /** A message of the peer's. Resolves when there is room for the next: a slow channel slows its peer, not the node. */
  receive(message: Message, session: Session): void | Promise<void> {
    this.#push({ kind: 'message', message, session });
    if (this.#inputs.length >= MAX_WAITING) return new Promise((resolve) => this.#waiters.push(resolve));
  }

  /** A saga's or user's wish. Resolves when its outcome is durable. */
  submit(intent: ChannelIntent, cause: Cause): Promise<Outcome> {
    return this.#command(() => ({ command: this.#withFacts(intent) }), cause, intent.type === 'OfferHtlc');
  }

  /** A command of ours whose facts are known. */
  run(command: ChannelCommand, cause?: Cause): Promise<Outcome> {
    return this.#command(() => ({ command }), cause);
  }

  /** The peer is there. `fresh`: the channel begins on this very connection and has nothing to repeat. */
  connected(session: Session, fresh = false): void {
    this.#push({ kind: 'connected', session, fresh });
  }

  disconnected(session: Session): void {
    this.#push({ kind: 'disconnected', session });
  }

  /** Closes as soon as no update of ours is pending; remembered until the process ends. A wish for a close under way is a dearer one, or one to another script. */
  async close(wish: CloseWish = {}): Promise<Outcome> {
    const judged = judgeWish(wish, this.#state, this.#reestablished ? this.#common : undefined, this.#moment());
    if (judged !== 'wait') return 'refused' in judged ? judged : this.run(judged.command);
    this.#wish = { ...this.#wish, ...wish };
    this.#closeWanted = true;
    this.#wake();
    return { accepted: 0 };
  }

  /** A block: repeats what the chain is still owed, and loses patience with a peer that leaves a close unanswered. */
  rebroadcast(): void {
    for (const effect of owedToChain(this.#state)) broadcast(effect, this.#state, this.stream, this.#context);
    this.#patience(this.#state, this.#context.height(), this.#reestablished ? this.#session : undefined, (command) => this.run(command));
  }

  /** Resolves when the mailbox is empty and all of it durable. */
  async idle(): Promise<void> {
    while (this.#running !== undefined || this.#ahead.pending !== undefined) await (this.#running ?? this.#ahead.pending);
  }

  #command(gather: () => Gathered | Promise<Gathered>, cause?: Cause, once = false): Promise<Outcome> {
    return new Promise((done, failed) => this.#push({ kind: 'command', gather, cause, once, done, failed }));
  }

  #push(input: Input): void {
    if (this.#halted !== undefined && input.kind === 'command') return input.failed(this.#halted);
    this.#inputs.push(input);
    this.#wake();
  }

  #withFacts(intent: ChannelIntent): ChannelCommand {
    if (intent.type !== 'OfferHtlc') return intent;
    return { ...intent, height: this.#context.height(), connected: this.#reestablished, policy: this.#context.policy, chain_trouble: this.#context.chainTrouble?.() };
  }

  #remember(command_id: Hex32): void {
    this.#seen.add(command_id);
    if (this.#seen.size > REMEMBERED_COMMANDS) this.#seen.delete(this.#seen.values().next().value!);
  }

  // ---- the loop

  /** Inputs that arrive in one turn of the event loop ride in one append. */
  #wake(): void {
    if (this.#running !== undefined || this.#halted !== undefined) return;
    this.#running = new Promise<void>((resolve) => setImmediate(resolve)).then(() => this.#drain()).finally(() => {
      this.#running = undefined;
      if (this.#inputs.length > 0) return this.#wake();
      // By then the peer has its turn, and our disk too.
      setTimeout(() => this.#running === undefined && deriveAhead(this.#state, this.#context.signer), 1).unref();
    });
  }

  async #drain(): Promise<void> {
    do {
      const loss = this.#ahead.takeLoss();
      if (loss !== undefined) await this.#recover(loss);
      const batch = this.#inputs.splice(0, MAX_BATCH);
      for (const resolve of this.#waiters.splice(0)) resolve();
      await this.#turn(batch);
    } while (this.#inputs.length > 0 && this.#halted === undefined);
  }

  /** One append for a batch of inputs: nothing of it leaves before all of it is durable. */
  async #turn(batch: readonly Input[]): Promise<void> {
    const turn = new Turn(this.#state);
    try {
      for (const input of batch) await this.#take(input, turn);
      await this.#followUps(turn);
      if (turn.events.length > 0) assertInvariants(turn.state);
    } catch (error) {
      return this.#halt(error as Error, turn, batch);
    }
    // Our signatures are made while the disk works; the secrets of revoke_and_ack, and every send, wait for it.
    const appended = this.#append(turn);
    appended.catch(() => undefined);
    try {
      const prepared = turn.steps.flatMap(({ effects, line }) => effects.map((owed) => prepare(owed, line, this.stream, this.#context)));
      if (this.#mayRunAhead(turn, prepared)) return this.#runAhead(turn, appended);
      const [revision] = await Promise.all([appended, this.#ahead.settled()]);
      if (revision !== undefined) {
        this.#keep(revision, turn.state);
        this.#context.onTurn?.(this.stream, turn.state);
      }
      await this.#settle(turn, prepared);
    } catch (error) {
      // Their outcomes, whatever they are, are in the log before we read it again.
      await Promise.allSettled([appended, this.#ahead.pending]);
      this.#ahead.takeLoss();
      for (const { failed } of turn.steps) failed?.(error);
      await this.#recover(error as Error);
    }
  }

  /** Answers the stream's new revision, or undefined when nothing is to be written. */
  async #append({ events, causes, attachments }: Turn): Promise<bigint | undefined> {
    return events.length === 0 ? undefined : this.#context.store.append(this.stream, this.#revision, events, causes, attachments);
  }

  #keep(revision: bigint, state: ChannelState): void {
    this.#revision = revision;
    this.#state = state;
  }

  /** A turn that owes nothing holds up nobody: what is decided next is written only if it was (the revisions see to that). */
  #mayRunAhead({ events }: Turn, prepared: readonly Prepared[]): boolean {
    return this.#context.store.onAhead !== undefined && events.length > 0 && prepared.length === 0 && this.#ahead.pending === undefined;
  }

  #runAhead(turn: Turn, appended: Promise<unknown>): void {
    this.#keep((this.#revision === 'none' ? -1n : this.#revision) + BigInt(turn.events.length), turn.state);
    const durable = appended.then(() => {
      this.#context.onTurn?.(this.stream, turn.state);
      return this.#settle(turn, []);
    });
    this.#ahead.start(durable, (error) => {
      for (const { failed } of turn.steps) failed?.(error);
      this.#wake();
    });
  }

  async #take(input: Input, turn: Turn): Promise<void> {
    switch (input.kind) {
      case 'connected':
        return this.#attach(input, turn);
      case 'disconnected':
        return this.#detach(input.session, turn);
      case 'message':
        return this.#takeMessage(input, turn);
      case 'command':
        return this.#takeCommand(input, turn);
    }
  }

  #takeMessage({ message, session }: Extract<Input, { kind: 'message' }>, turn: Turn): void {
    if (session !== this.#session) return; // Said on a connection that has ended.
    if (!this.#reestablished && !mayComeFirst(message)) {
      return this.#answer({ code: 'channel_reestablish_expected', answer: 'disconnect', detail: { got: message.type } }, turn.state);
    }
    const reestablishes = message.type === 'channel_reestablish';
    // Once on a connection: each one more would be one more fact in our log, and have us say everything again.
    if (reestablishes && this.#reestablished) return this.#answer({ code: 'channel_reestablish_repeated', answer: 'warning', detail: { phase: turn.state.phase } }, turn.state);
    const gathered = gatherMessage(message, turn.state, this.#context, session.features);
    if (gathered === undefined) return;
    const refused = this.#decide(gathered, turn, this.#ownCause(turn), { line: this.#line(reestablishes) });
    if (refused !== undefined) return this.#answer(refused, turn.state);
    if (reestablishes) this.#reestablished = true;
  }

  async #takeCommand(input: Extract<Input, { kind: 'command' }>, turn: Turn): Promise<void> {
    const { cause = this.#ownCause(turn), once = false, done, failed } = input;
    // Even a no waits for the append: it may rest on facts of this turn that never become durable.
    if (once && this.#seen.has(cause.command_id)) return turn.add([], cause, [], { done, failed });
    const refused = this.#decide(await input.gather(), turn, cause, { done, failed });
    if (refused !== undefined) return turn.add([], cause, [], { done: () => done({ refused }), failed });
    if (once) this.#remember(cause.command_id);
  }

  /** Decides on the state so far, and keeps events, causes and effects in order. Answers the refusal, if it is one. */
  #decide({ command, attachments = [] }: Gathered, turn: Turn, cause: Cause, details: StepDetails = {}): Refusal | undefined {
    const decision = decideChannel(command, turn.state);
    if ('refused' in decision) return decision.refused;
    turn.add(decision.accepted, cause, attachments, { line: this.#line(), ...details });
    return undefined;
  }

  /** What the state itself asks for once the mailbox is empty: a signature, a shutdown, a first closing_signed, a funding. */
  async #followUps(turn: Turn): Promise<void> {
    if (this.#session === undefined || !this.#reestablished) return;
    if (commitmentIsDue(turn.state)) this.#decide({ command: { type: 'SignCommitment' } }, turn, this.#ownCause(turn));
    if (shutdownIsDue(turn.state) || (this.#closeWanted && isLive(turn.state))) await this.#shutDown(turn);
    const closing = closingFollowUp(turn.state, this.#common, this.#moment());
    if (closing !== undefined) this.#decide({ command: closing }, turn, this.#ownCause(turn));
    if (turn.state.phase === 'opening' && turn.state.step === 'accepted' && turn.state.terms.role === 'opener') this.#startFunding(turn.state);
  }

  async #shutDown(turn: Turn): Promise<void> {
    if (turn.state.phase === 'shutdown' && turn.state.scripts.local !== undefined) return;
    const chosen = this.#wish.scriptpubkey;
    const scriptpubkey = chosen ?? (await this.#context.destinationScript(`close ${this.stream}`));
    const refused = this.#decide({ command: { type: 'CloseChannel', scriptpubkey, chosen: chosen !== undefined, common: this.#common } }, turn, this.#ownCause(turn));
    if (refused?.code === 'updates_pending') return;
    this.#closeWanted = false;
    if (refused === undefined) return;
    // The peer was away when this was asked for, and cannot pay such a script.
    this.#wish = {};
    this.#context.log(`${this.stream}: the close that was asked for is given up: ${describeRefusal(refused)}`);
  }

  get #common(): CloseFeatures {
    return closeFeatures(this.#session?.features);
  }

  #moment(): { readonly feerate_per_kw: number; readonly chosen: boolean; readonly height: number } {
    const chosen = this.#wish.feerate_per_kw;
    return { feerate_per_kw: chosen ?? this.#context.feerate(), chosen: chosen !== undefined, height: this.#context.height() };
  }

  #startFunding({ terms }: Extract<ChannelState, { step: 'accepted' }>): void {
    if (this.#fundingStarted) return;
    this.#fundingStarted = true;
    void fundingCommand(this.stream, terms, this.#context)
      .then((command) => this.run(command))
      .catch((error: Error) => this.#context.log(`funding of ${this.stream} went wrong: ${error.message}`));
  }

  #ownCause(turn: Turn): Cause {
    return { command_id: commandId(`${this.stream}/${this.#revision}/${this.#recoveries}`, turn.steps.length), correlation_id: streamCorrelation(this.stream) };
  }

  // ---- connection

  #attach({ session, fresh }: Extract<Input, { kind: 'connected' }>, turn: Turn): void {
    this.#session = session;
    this.#reestablished = fresh;
    if (fresh) return;
    for (const words of openingWords(turn.state, this.#context)) turn.say(words, this.#ownCause(turn), this.#line());
  }

  /** The connection as it stands now. `passing`: channel_reestablish is just being taken. */
  #line(passing = false): Line | undefined {
    return this.#session && { session: this.#session, open: this.#reestablished || passing };
  }

  /** BOLT 2: an opening that has not come to signatures on both sides is forgotten with the connection. */
  #detach(session: Session, turn: Turn): void {
    if (session !== this.#session) return;
    this.#session = undefined;
    this.#reestablished = false;
    if (turn.state.phase === 'opening' && turn.state.step !== 'funded') {
      this.#decide({ command: { type: 'AbandonOpening', code: 'peer_disconnected', reason: 'the connection ended before the channel was funded' } }, turn, this.#ownCause(turn));
    }
  }

  #answer(refusal: Refusal, state: ChannelState): void {
    const sentence = describeRefusal(refusal);
    this.#context.log(`${this.stream}: refused: ${sentence}`);
    if (refusal.answer === 'to_caller') return;
    const channel_id = channelIdOf(state);
    this.#session?.send({ type: 'warning', channel_id, data: toData(sentence), tlvs: {} });
    if (refusal.answer === 'disconnect') this.#session?.close(refusal.code, sentence);
  }

  // ---- effects

  async #settle(turn: Turn, prepared: readonly Prepared[]): Promise<void> {
    await sendAll(prepared);
    for (const { events, done } of turn.steps) done?.({ accepted: events.length });
  }

  // ---- failures

  /** The append did not answer well: nothing was sent. The state is read again, and the peer starts over. */
  async #recover(error: Error): Promise<void> {
    this.#context.log(`${this.stream}: ${error.message}; starting again from the log`);
    this.#recoveries++;
    this.#hangUp();
    await this.#reload().catch((cause: Error) => this.#stop(new Error(`${this.stream} cannot be read again: ${cause.message}`)));
  }

  /** What the peer said after the words that we lost means nothing to us: the connection has ended from here on. */
  #hangUp(): void {
    const session = this.#session;
    if (session === undefined) return;
    session.close('store_failed', 'our store failed; reconnect');
    this.#inputs.unshift({ kind: 'disconnected', session });
  }

  /** A bug of ours, or a forged log: this channel stops here, the node goes on. */
  #halt(error: Error, turn: Turn, batch: readonly Input[]): void {
    for (const { failed } of turn.steps) failed?.(error);
    for (const input of batch) if (input.kind === 'command') input.failed(error);
    this.#stop(error);
  }

  #stop(error: Error): void {
    this.#halted = error;
    this.#context.log(`${this.stream}: stopped: ${error.message}`, { stack: error.stack });
    this.#session?.close('internal_error', 'this channel is stopped');
    for (const input of this.#inputs.splice(0)) if (input.kind === 'command') input.failed(error);
    for (const resolve of this.#waiters.splice(0)) resolve();
  }
}
