import type { Questionnaire } from 'fhir/r4';
import { useEffect, useState } from 'react';
import { search } from '../fhir/client';

const MODULE = 'http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-assemble-expectation';
const SHOWN = 'url,version,name,title,code,extension';

function isNote(form: Questionnaire): boolean {
  const coded = form.code?.some(({ system, code }) => system === 'http://loinc.org' && code === '11504-8');
  return Boolean(coded) && !form.extension?.some((each) => each.url === MODULE);
}

interface Given {
  onChosen: (canonical: string) => void;
}

/** The operative notes that there are, found by a few letters. */
export function Choose({ onChosen }: Given) {
  const [forms, setForms] = useState<Questionnaire[] | null>(null);
  const [letters, setLetters] = useState('');
  const [said, setSaid] = useState('');

  useEffect(() => {
    search<Questionnaire>('Questionnaire', { _elements: SHOWN, _count: '500' })
      .then((found) =>
        setForms(
          found
            .filter(isNote)
            .sort((one, other) => titleOf(one).localeCompare(titleOf(other)))
        )
      )
      .catch((refusal) => setSaid(String(refusal.message)));
  }, []);

  const found = (forms ?? []).filter((form) =>
    titleOf(form).toLowerCase().includes(letters.trim().toLowerCase())
  );
  return (
    <section>
      <h1>Which operation?</h1>
      <label className="stacked">
        Find
        <input
          className="input"
          type="search"
          autoComplete="off"
          autoFocus
          value={letters}
          onChange={(event) => setLetters(event.target.value)}
          onKeyDown={(event) => {
            const [first] = found;
            if (event.key === 'Enter' && first) {
              onChosen(canonical(first));
            }
          }}
        />
      </label>
      {said ? (
        <p className="complaint" role="alert">
          {said}
        </p>
      ) : null}
      {forms === null && !said ? <p role="status">Loading</p> : null}
      <ul className="forms">
        {found.map((form) => (
          <li key={form.url}>
            <button type="button" className="form-choice" onClick={() => onChosen(canonical(form))}>
              {titleOf(form)}
            </button>
          </li>
        ))}
      </ul>
      {forms !== null && found.length === 0 ? <p>No operative note has these letters.</p> : null}
    </section>
  );
}

function canonical(form: Questionnaire): string {
  return `${form.url ?? ''}${form.version ? `|${form.version}` : ''}`;
}

function titleOf(form: Questionnaire): string {
  const title = (form.title ?? form.name ?? form.url ?? '').replace(/^Operative note: /, '');
  return title.charAt(0).toUpperCase() + title.slice(1);
}
