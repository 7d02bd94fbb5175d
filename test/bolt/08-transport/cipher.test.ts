/** BOLT 8, "Lightning Message Specification": the vectors of encryption, and frames that arrive in pieces. */
import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { CipherError, FrameDecoder, FrameEncoder, MAX_FRAME_BYTES } from '../../../src/bolt/08-transport/cipher.ts';
import { concatBytes, fromHex, toHex } from '../../../src/bolt/primitives.ts';
import transport from '../../vectors/bolt08-transport-messages.json' with { type: 'json' };

const { keys, message, vectors } = transport;
const hello = fromHex(message);
const pair = () => ({
  encoder: new FrameEncoder(fromHex(keys.sk), fromHex(keys.ck)),
  decoder: new FrameDecoder(fromHex(keys.sk), fromHex(keys.ck)),
});

function readAll(decoder: FrameDecoder): Uint8Array[] {
  const messages: Uint8Array[] = [];
  for (let next = decoder.next(); next !== undefined; next = decoder.next()) messages.push(next);
  return messages;
}

describe('BOLT 8, Appendix A: message encryption', () => {
  it('1002 times hello, across two key rotations, reads back as sent', () => {
    const { encoder, decoder } = pair();
    const frames = Array.from({ length: 1002 }, () => encoder.encrypt(hello));
    for (const { index, frame } of vectors) expect(toHex(frames[index]!)).toBe(frame);
    decoder.push(concatBytes(...frames));
    expect(readAll(decoder).map(toHex)).toEqual(frames.map(() => message));
    expect(decoder.buffered).toBe(0);
  });
});

describe('a stream of frames', () => {
  it('may be cut anywhere', () => {
    const messages = fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 8 });
    fc.assert(
      fc.property(messages, fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1 }), (sent, cuts) => {
        const { encoder, decoder } = pair();
        const stream = concatBytes(...sent.map((bytes) => encoder.encrypt(bytes)));
        const received: Uint8Array[] = [];
        for (let offset = 0, cut = 0; offset < stream.length; cut++) {
          const end = offset + cuts[cut % cuts.length]!;
          decoder.push(stream.subarray(offset, end));
          received.push(...readAll(decoder));
          offset = end;
        }
        expect(received.map(toHex)).toEqual(sent.map(toHex));
      }),
      { numRuns: 50 },
    );
  });

  it('holds the largest message, one byte at a time', () => {
    const { encoder, decoder } = pair();
    const frame = encoder.encrypt(new Uint8Array(65535).fill(7));
    expect(frame).toHaveLength(MAX_FRAME_BYTES);
    for (const byte of frame.subarray(0, -1)) {
      decoder.push(new Uint8Array([byte]));
      expect(decoder.next()).toBeUndefined();
    }
    decoder.push(frame.subarray(-1));
    expect(decoder.next()).toHaveLength(65535);
    expect(() => encoder.encrypt(new Uint8Array(65536))).toThrow(RangeError);
  });

  it.each([
    [0, 'bad_length_tag'],
    [17, 'bad_length_tag'],
    [18, 'bad_message_tag'],
    [38, 'bad_message_tag'],
  ])('a flipped bit in byte %i is a %s', (offset, code) => {
    const { encoder, decoder } = pair();
    const frame = encoder.encrypt(hello);
    frame[offset]! ^= 1;
    decoder.push(frame);
    expect(() => decoder.next()).toThrow(expect.objectContaining({ code }) as CipherError);
  });

  it('a frame cannot be replayed', () => {
    const { encoder, decoder } = pair();
    const frame = encoder.encrypt(hello);
    decoder.push(concatBytes(frame, frame));
    expect(decoder.next()).toEqual(hello);
    expect(() => decoder.next()).toThrow(CipherError);
  });
});
