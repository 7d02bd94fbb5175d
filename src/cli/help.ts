/** What the definitions of all commands share: how one is run, and how its examples look. */

/** Hands a command to whoever collects its exit code. */
export type Run = (command: () => Promise<number>) => Promise<void>;

export const examples = (...lines: readonly string[]): string => `\nExamples:\n${lines.map((line) => `  $ fulgurite ${line}`).join('\n')}\n`;
