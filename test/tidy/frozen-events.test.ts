/** Events are stored for ever: once released, the schema of an event type never changes, and no type disappears. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { allEvents } from '../../src/events/registry.ts';
import { readText, root } from './source-files.ts';

const FROZEN = 'test/fixtures/events/schemas.json';

/**
 * A schema in JSON Schema's words: names, what is optional, what is nested, ranges and forms of numbers. Checks that are
 * functions (a point's length) have no word there; the frozen log beside this file holds them by example.
 */
function shapeOf(schema: z.ZodType): unknown {
  const { $schema: _, ...shape } = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' });
  return JSON.parse(JSON.stringify(shape));
}

const shapes: Record<string, unknown> = Object.fromEntries(
  allEvents.map((event) => [event.shape.type.value, shapeOf(event)] as const).toSorted(([a], [b]) => (a < b ? -1 : 1)),
);

// `FREEZE_EVENTS=1 npx vitest run test/tidy/frozen-events.test.ts` at a release, which adds the new types of that release.
if (process.env['FREEZE_EVENTS'] === '1') {
  const lines = Object.entries(shapes).map(([type, shape]) => `${JSON.stringify(type)}: ${JSON.stringify(shape)}`);
  writeFileSync(join(root, FROZEN), `{\n${lines.join(',\n')}\n}\n`);
}

describe('event schemas', () => {
  const frozen = JSON.parse(readText(FROZEN)) as Record<string, unknown>;

  it.each(Object.keys(frozen))('%s is as it was when it was released', (type) => {
    expect(shapes[type], `${type}: stored for ever. Add a new type beside it, never change this one`).toEqual(frozen[type]);
  });
});
