import { useEffect, useRef } from 'react';
import { Refused } from '../fhir/client';

/** What is wrong with what was asked; it takes the keyboard, and comes into view. */
export function Problem({ sentences }: { sentences: string[] }) {
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (sentences.length) {
      box.current?.focus();
    }
  }, [sentences]);
  if (!sentences.length) {
    return null;
  }
  return (
    <div className="summary" role="alert" tabIndex={-1} ref={box}>
      <h2>There is a problem</h2>
      {sentences.map((sentence) => (
        <p key={sentence}>{sentence}</p>
      ))}
    </div>
  );
}

/** Return the sentences of a refusal. */
export function sentencesOf(refusal: unknown): string[] {
  return refusal instanceof Refused ? refusal.sentences : [String(refusal)];
}
