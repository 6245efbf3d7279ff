import { type FormEvent, useState } from 'react';
import type { Stream } from './api';
import type { Texts } from './texts';

interface Given {
  said: Texts;
  streams: Stream[];
  onDecided: (streams: { code: string; decision: string }[]) => void;
}

/** What may be used, one question for each stream of data: nothing is chosen beforehand. */
export function Consent({ said, streams, onDecided }: Given) {
  const [chosen, choose] = useState<Record<string, string>>(
    Object.fromEntries(streams.map(({ code, decision }) => [code, decision ?? '']))
  );
  const [isMissing, setMissing] = useState(false);

  function submit(event: FormEvent): void {
    event.preventDefault();
    const decided = streams.map(({ code }) => ({ code, decision: chosen[code] ?? '' }));
    const isComplete = decided.every(({ decision }) => decision);
    setMissing(!isComplete);
    if (isComplete) {
      onDecided(decided);
    }
  }

  return (
    <form onSubmit={submit} noValidate>
      <h1>{said.consentTitle}</h1>
      <p>{said.consentWhy}</p>
      {streams.map(({ code, display }) => (
        <fieldset key={code} className="field">
          <legend className="field-label">{display}</legend>
          <div className="field-body">
            <p className="hint">{about(said, code)}</p>
            {isMissing && !chosen[code] ? (
              <p className="complaint" role="alert">
                {said.missing}
              </p>
            ) : null}
            <div className="options">
              {(['permit', 'deny'] as const).map((decision) => (
                <label key={decision} className="option">
                  <input
                    type="radio"
                    name={code}
                    checked={chosen[code] === decision}
                    onChange={() => choose({ ...chosen, [code]: decision })}
                  />
                  <span>{said[decision]}</span>
                </label>
              ))}
            </div>
          </div>
        </fieldset>
      ))}
      <button type="submit" className="button">
        {said.next}
      </button>
    </form>
  );
}

/** Return what a stream of data is, in plain words, where the page knows it. */
function about(said: Texts, code: string): string {
  const name = `stream-${code}`;
  return name in said ? said[name as keyof Texts] : '';
}
