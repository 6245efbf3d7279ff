import type { Questionnaire, QuestionnaireResponse, QuestionnaireResponseItem } from 'fhir/r4';
import { useState } from 'react';
import { flat, items } from '../form/answers';
import type { Stored } from '../fhir/client';

interface Given {
  form: Questionnaire;
  mine: QuestionnaireResponse;
  theirs: Stored<QuestionnaireResponse>;
  onChosen: (item: QuestionnaireResponse['item']) => void;
}

/** Two versions of one draft, answer by answer: the reader chooses which stands. */
export function Conflict({ form, mine, theirs, onChosen }: Given) {
  const texts = new Map([...items(form)].map(({ item }) => [item.linkId, item.text ?? item.linkId]));
  const sections = new Map([...items(form)].map(({ item, section }) => [item.linkId, section]));
  const [here, there] = [flat(mine), flat(theirs.resource)];
  const differing = [...new Set([...here.keys(), ...there.keys()])].filter(
    (key) => here.get(key) !== there.get(key)
  );
  const rows = new Map<string, string[]>();
  for (const key of differing) {
    const section = sections.get(linkIdOf(key))?.linkId ?? key;
    rows.set(section, [...(rows.get(section) ?? []), key]);
  }
  const [chosen, choose] = useState<Record<string, 'mine' | 'theirs'>>({});

  function keep(): void {
    const taken = (form.item ?? []).flatMap(({ linkId }) =>
      among(chosen[linkId] === 'theirs' ? theirs.resource : mine, linkId)
    );
    onChosen(taken);
  }

  return (
    <section className="conflict" role="alertdialog" aria-labelledby="conflict-title">
      <h2 id="conflict-title">This draft was also changed elsewhere</h2>
      <p>
        Nothing is lost: both versions are below where they differ. Choose for each part of the note
        which one stands.
      </p>
      <table>
        <thead>
          <tr>
            <th scope="col">Question</th>
            <th scope="col">Your version</th>
            <th scope="col">The other version</th>
          </tr>
        </thead>
        {[...rows].map(([section, keys]) => (
          <tbody key={section}>
            <tr className="conflict-choice">
              <th scope="rowgroup">{texts.get(section)}</th>
              {(['mine', 'theirs'] as const).map((which) => (
                <td key={which}>
                  <label className="option">
                    <input
                      type="radio"
                      name={`conflict-${section}`}
                      checked={(chosen[section] ?? 'mine') === which}
                      onChange={() => choose({ ...chosen, [section]: which })}
                    />
                    <span>{which === 'mine' ? 'Keep yours' : 'Take the other'}</span>
                  </label>
                </td>
              ))}
            </tr>
            {keys.map((key) => (
              <tr key={key}>
                <td>{texts.get(linkIdOf(key)) ?? key}</td>
                <td>{here.get(key) ?? <em>no answer</em>}</td>
                <td>{there.get(key) ?? <em>no answer</em>}</td>
              </tr>
            ))}
          </tbody>
        ))}
      </table>
      <button type="button" className="button" onClick={keep}>
        Go on with these answers
      </button>
    </section>
  );
}

function linkIdOf(key: string): string {
  return key.split(' ')[0] ?? key;
}

function among(response: QuestionnaireResponse, linkId: string): QuestionnaireResponseItem[] {
  return (response.item ?? []).filter((item) => item.linkId === linkId);
}
