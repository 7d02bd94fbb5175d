/** A terminal that shows one frame at a time, a few times a second, and is left as it was found. */
import { toText, type Line } from './paint.ts';
import type { Size } from './view.ts';

/** What a screen needs of a TTY stream. */
export interface Terminal {
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
  readonly writableNeedDrain?: boolean;
  write(text: string): boolean;
  hasColors?(): boolean;
}

export interface Screen {
  stop(): void;
}

const ESC = '\u001b[';
const ENTER = `${ESC}?1049h${ESC}?25l`;
const LEAVE = `${ESC}?25h${ESC}?1049l`;
/** Terminals that know it show a frame at once; others ignore it. */
const [BEGIN_FRAME, END_FRAME] = [`${ESC}?2026h`, `${ESC}?2026l`];
const FRAMES_PER_SECOND = 5;

/** Draws `frame` until stopped. A terminal that does not keep up misses frames, nothing waits for it. */
export function startScreen(terminal: Terminal, frame: (size: Size) => readonly Line[]): Screen {
  const colours = terminal.hasColors?.() ?? false;
  const draw = (): void => {
    if (terminal.writableNeedDrain === true) return;
    const size = { columns: terminal.columns ?? 80, rows: terminal.rows ?? 24 };
    const lines = frame(size).slice(0, size.rows).map((line) => `${toText(line, colours)}${ESC}K`);
    terminal.write(`${BEGIN_FRAME}${ESC}H${lines.join('\r\n')}${ESC}J${END_FRAME}`);
  };
  const leave = (): void => void terminal.write(LEAVE);
  process.once('exit', leave); // However the process ends.
  terminal.write(ENTER);
  draw();
  const timer = setInterval(draw, 1000 / FRAMES_PER_SECOND);
  return {
    stop() {
      clearInterval(timer);
      process.off('exit', leave);
      leave();
    },
  };
}
