/** Memories for pure functions that are asked the same things again and again. */

/** The same function, which answers its last question again without working. */
export function rememberLast<Q extends string, A>(answerTo: (question: Q) => A): (question: Q) => A {
  let last: { readonly question: Q; readonly answer: A } | undefined;
  return (question) => {
    if (last?.question !== question) last = { question, answer: answerTo(question) };
    return last.answer;
  };
}

/** The same function, which remembers its `limit` newest answers. */
export function rememberRecent<Q extends string, A>(limit: number, answerTo: (question: Q) => A): (question: Q) => A {
  const answers = new Map<Q, A>();
  return (question) => {
    const known = answers.get(question);
    if (known !== undefined) return known;
    if (answers.size >= limit) answers.delete(answers.keys().next().value!);
    const answer = answerTo(question);
    answers.set(question, answer);
    return answer;
  };
}
