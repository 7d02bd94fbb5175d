/** BOLT 7, "The node_announcement Message": address descriptors, where a node can be reached. */
import { base32nopad } from '@scure/base';
import type { Codec, Reader, Writer } from '../codec.ts';
import { CodecError } from '../codec.ts';
import type { Hex } from '../primitives.ts';

/** `host` is printable: `203.0.113.7`, `2001:db8:0:0:0:0:0:1`, `<56 letters>.onion`, `node.example`. */
export type Address =
  | { readonly type: 'ipv4' | 'ipv6' | 'tor_v2' | 'tor_v3' | 'dns'; readonly host: string; readonly port: number }
  /** From the first descriptor of an unknown type on, nothing more can be understood; the bytes are kept. */
  | { readonly type: 'unknown'; readonly descriptors: Hex };

type HostType = Exclude<Address['type'], 'unknown'>;

/** How each kind of host is written, without the port. */
interface HostFormat {
  readonly type: HostType;
  readonly descriptor: number;
  decode(reader: Reader): string;
  encode(host: string, writer: Writer): void;
}

const FORMATS: readonly HostFormat[] = [
  { type: 'ipv4', descriptor: 1, decode: (reader) => [...reader.take(4)].join('.'), encode: writeIpv4 },
  { type: 'ipv6', descriptor: 2, decode: readIpv6, encode: writeIpv6 },
  { type: 'tor_v2', descriptor: 3, decode: (reader) => readOnion(reader, 10), encode: writeOnion(10) },
  { type: 'tor_v3', descriptor: 4, decode: (reader) => readOnion(reader, 35), encode: writeOnion(35) },
  { type: 'dns', descriptor: 5, decode: readHostname, encode: writeHostname },
];

/** One descriptor. */
export const address: Codec<Address> = {
  encode(value, writer) {
    if (value.type === 'unknown') return writer.hex(value.descriptors);
    const format = FORMATS.find(({ type }) => type === value.type)!;
    writer.u8(format.descriptor);
    format.encode(value.host, writer);
    writer.u16(value.port);
  },
  decode(reader) {
    const descriptor = reader.u8();
    const format = FORMATS.find((candidate) => candidate.descriptor === descriptor);
    if (format === undefined) {
      return { type: 'unknown', descriptors: descriptor.toString(16).padStart(2, '0') + reader.hex(reader.remaining) };
    }
    return { type: format.type, host: format.decode(reader), port: reader.u16() };
  },
};

function writeIpv4(host: string, writer: Writer): void {
  const parts = host.split('.');
  if (parts.length !== 4) throw new RangeError(`not an IPv4 address: ${host}`);
  for (const part of parts) writer.u8(Number(part));
}

function readIpv6(reader: Reader): string {
  return Array.from({ length: 8 }, () => reader.u16().toString(16)).join(':');
}

/** Understands the `::` of people too. */
function writeIpv6(host: string, writer: Writer): void {
  const [head = '', tail] = host.split('::');
  const left = head === '' ? [] : head.split(':');
  const right = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = tail === undefined ? 0 : 8 - left.length - right.length;
  const groups = [...left, ...'0'.repeat(Math.max(zeros, 0)), ...right];
  if (groups.length !== 8) throw new RangeError(`not an IPv6 address: ${host}`);
  for (const group of groups) writer.u16(Number.parseInt(group, 16));
}

const readOnion = (reader: Reader, length: number): string =>
  `${base32nopad.encode(reader.take(length)).toLowerCase()}.onion`;

function writeOnion(length: number): (host: string, writer: Writer) => void {
  return (host, writer) => {
    const name = base32nopad.decode(host.replace(/\.onion$/, '').toUpperCase());
    if (name.length !== length) throw new RangeError(`an onion name of ${length} bytes was expected: ${host}`);
    writer.put(name);
  };
}

function readHostname(reader: Reader): string {
  const host = String.fromCharCode(...reader.take(reader.u8()));
  if (!isPrintableAscii(host)) throw new CodecError('invalid_address', 'a DNS hostname must be ASCII');
  return host;
}

function writeHostname(host: string, writer: Writer): void {
  if (!isPrintableAscii(host)) throw new RangeError(`a DNS hostname must be ASCII: ${host}`);
  writer.u8(host.length);
  for (let index = 0; index < host.length; index++) writer.u8(host.charCodeAt(index));
}

const isPrintableAscii = (text: string): boolean => /^[\x21-\x7e]*$/.test(text);
