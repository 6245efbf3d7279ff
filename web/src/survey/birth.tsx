import { type FormEvent, useRef, useState } from 'react';
import type { Texts } from './texts';

interface Given {
  said: Texts;
  /** Why the last date was refused. */
  refused: string[];
  onDate: (date: string) => void;
}

const PARTS = ['day', 'month', 'year'] as const;

/** The second key to a link: the child's date of birth, in three boxes. */
export function Birth({ said, refused, onDate }: Given) {
  const [given, setGiven] = useState({ day: '', month: '', year: '' });
  const [isWrong, setWrong] = useState(false);
  const first = useRef<HTMLInputElement>(null);

  function submit(event: FormEvent): void {
    event.preventDefault();
    const date = iso(given);
    setWrong(!date);
    if (date) {
      onDate(date);
    } else {
      first.current?.focus();
    }
  }

  const complaints = isWrong ? [said.birthWrong] : refused;
  return (
    <form onSubmit={submit} noValidate>
      <h1>{said.birthTitle}</h1>
      <p>{said.birthWhy}</p>
      <fieldset className="date" aria-describedby="birth-hint birth-said">
        <legend>{said.birthLabel}</legend>
        <p className="hint" id="birth-hint">
          {said.birthHint}
        </p>
        <div id="birth-said" role="alert">
          {complaints.map((complaint) => (
            <p className="complaint" key={complaint}>
              {complaint}
            </p>
          ))}
        </div>
        <div className="date-parts">
          {PARTS.map((part) => (
            <label key={part}>
              {said[part]}
              <input
                ref={part === 'day' ? first : undefined}
                className={part === 'year' ? 'input input-year' : 'input input-two'}
                inputMode="numeric"
                autoComplete="off"
                maxLength={part === 'year' ? 4 : 2}
                value={given[part]}
                aria-invalid={complaints.length > 0}
                onChange={(event) => setGiven({ ...given, [part]: event.target.value.trim() })}
              />
            </label>
          ))}
        </div>
      </fieldset>
      <button type="submit" className="button">
        {said.start}
      </button>
    </form>
  );
}

function iso({ day, month, year }: { day: string; month: string; year: string }): string | null {
  if (![day, month, year].every((part) => /^\d+$/.test(part)) || year.length !== 4) {
    return null;
  }
  const made = new Date(Date.UTC(Number(year), Number(month) - 1, Number(day)));
  const isReal = made.getUTCDate() === Number(day) && made.getUTCMonth() === Number(month) - 1;
  return isReal ? made.toISOString().slice(0, 10) : null;
}
