/** How V8 runs a node: what a payment runs through is compiled early, not after thousands of payments. */
import { setFlagsFromString } from 'node:v8';

/**
 * V8 waits until a function has run often before it compiles it well; a payment runs through much code, but seldom. Feedback
 * is kept from the first call on, and little of it is enough. For the whole process, its threads included; call it first.
 */
export function compileEarly(): void {
  setFlagsFromString('--no-lazy-feedback-allocation');
  setFlagsFromString('--interrupt-budget=10000');
}
