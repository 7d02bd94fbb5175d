/** Memory of a pure function, with a bound. */

/** Remembers the answers for the keys used last, up to a bound. */
export function bounded<K, V>(limit: number, make: (key: K) => V): (key: K) => V {
  const answers = new Map<K, V>();
  return (key) => {
    const answer = answers.get(key) ?? make(key);
    answers.delete(key);
    answers.set(key, answer);
    if (answers.size > limit) answers.delete(answers.keys().next().value!);
    return answer;
  };
}
