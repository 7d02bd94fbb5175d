/** A binary heap of node numbers: cheapest first, and of equal ones the one with fewer hops. */

export interface HeapEntry {
  readonly node: number;
  readonly cost: number;
  readonly hops: number;
}

const before = (a: HeapEntry, b: HeapEntry): boolean => a.cost < b.cost || (a.cost === b.cost && a.hops < b.hops);

/** `pop` answers undefined when nothing is left. */
export function createHeap(): { push(entry: HeapEntry): void; pop(): HeapEntry | undefined } {
  const heap: HeapEntry[] = [];
  return {
    push(entry) {
      heap.push(entry);
      siftUp(heap, heap.length - 1);
    },
    pop() {
      const top = heap[0];
      const last = heap.pop();
      if (heap.length > 0 && last !== undefined) {
        heap[0] = last;
        siftDown(heap);
      }
      return top;
    },
  };
}

function siftUp(heap: HeapEntry[], start: number): void {
  let index = start;
  while (index > 0) {
    const parent = (index - 1) >> 1;
    if (!before(heap[index]!, heap[parent]!)) return;
    swap(heap, index, parent);
    index = parent;
  }
}

function siftDown(heap: HeapEntry[]): void {
  let index = 0;
  for (;;) {
    const [left, right] = [2 * index + 1, 2 * index + 2];
    let least = index;
    if (left < heap.length && before(heap[left]!, heap[least]!)) least = left;
    if (right < heap.length && before(heap[right]!, heap[least]!)) least = right;
    if (least === index) return;
    swap(heap, index, least);
    index = least;
  }
}

function swap(heap: HeapEntry[], a: number, b: number): void {
  [heap[a], heap[b]] = [heap[b]!, heap[a]!];
}
