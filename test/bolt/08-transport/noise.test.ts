/** BOLT 8, "Authenticated Key Exchange Handshake Specification": the vectors of both roles, failures included. */
import { describe, expect, it } from 'vitest';
import { crypto } from '../../../src/bolt/crypto.ts';
import { fromHex, toHex } from '../../../src/bolt/primitives.ts';
import type { NoiseIdentity, TransportKeys } from '../../../src/bolt/08-transport/noise.ts';
import { createInitiator, HandshakeError, receiveActOne, receiveActThree, receiveActTwo } from '../../../src/bolt/08-transport/noise.ts';
import handshakes from '../../vectors/bolt08-noise-handshake.json' with { type: 'json' };

/** A step is heard, said, or the error in which the handshake ends. */
interface Step {
  readonly dir: string;
  readonly bytes?: string;
  readonly error?: string;
}
type Vector = Omit<(typeof handshakes.vectors)[number], 'steps'> & { readonly steps: readonly Step[] };

const vectors: readonly Vector[] = handshakes.vectors;

function identityOf(privateKey: Uint8Array): NoiseIdentity {
  return {
    publicKey: crypto().publicKey(privateKey),
    ecdh: (point) => crypto().sha256(crypto().multiplyPoint(point, privateKey)),
  };
}

/** What one side says and ends up with, given what it hears. */
interface Outcome {
  readonly sent: string[];
  keys?: TransportKeys;
  remotePublicKey?: Uint8Array;
  error?: string;
}

function run(vector: Vector): Outcome {
  const outcome: Outcome = { sent: [] };
  const heard = vector.steps.filter(({ dir }) => dir === 'in').map(({ bytes }) => fromHex(bytes!));
  try {
    if (vector.role === 'initiator') initiate(vector, heard, outcome);
    else respond(vector, heard, outcome);
  } catch (error) {
    if (!(error instanceof HandshakeError)) throw error;
    outcome.error = error.code.toUpperCase();
  }
  return outcome;
}

function initiate(vector: Vector, heard: readonly Uint8Array[], outcome: Outcome): void {
  const { state, actOne } = createInitiator({
    identity: identityOf(fromHex(vector.local_static_priv)),
    ephemeralPrivateKey: fromHex(vector.ephemeral_priv),
    remotePublicKey: fromHex(vector.remote_static_pub!),
  });
  outcome.sent.push(toHex(actOne));
  const { actThree, keys } = receiveActTwo(state, heard[0]!);
  outcome.sent.push(toHex(actThree));
  outcome.keys = keys;
}

function respond(vector: Vector, heard: readonly Uint8Array[], outcome: Outcome): void {
  const keys = {
    identity: identityOf(fromHex(vector.local_static_priv)),
    ephemeralPrivateKey: fromHex(vector.ephemeral_priv),
  };
  const { state, actTwo } = receiveActOne(keys, heard[0]!);
  outcome.sent.push(toHex(actTwo));
  Object.assign(outcome, receiveActThree(state, heard[1]!));
}

describe('BOLT 8, Appendix A: handshake', () => {
  it.each(vectors)('$name', (vector) => {
    const outcome = run(vector);
    const spoken = vector.steps.filter(({ dir }) => dir === 'out').map(({ bytes }) => bytes);
    const error = vector.steps.find(({ dir }) => dir === 'error')?.error?.split(' ')[0];
    expect(outcome.sent).toEqual(spoken);
    expect(outcome.error).toBe(error);
    if (vector.final_keys === undefined) return;
    expect(toHex(outcome.keys!.sendingKey)).toBe(vector.final_keys.sk);
    expect(toHex(outcome.keys!.receivingKey)).toBe(vector.final_keys.rk);
  });

  it('the responder learns who called', () => {
    const outcome = run(vectors.find(({ name }) => name === 'transport-responder successful handshake')!);
    expect(toHex(outcome.remotePublicKey!)).toBe('034f355bdcb7cc0af728ef3cceb9615d90684bb5b2ca5f859ab0f0b704075871aa');
  });
});
