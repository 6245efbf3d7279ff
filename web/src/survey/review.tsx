import type { Questionnaire, QuestionnaireItem, QuestionnaireResponse } from 'fhir/r4';
import { useEffect, useRef } from 'react';
import { flat, items } from '../form/answers';
import type { Texts } from './texts';

interface Given {
  said: Texts;
  form: Questionnaire;
  response: QuestionnaireResponse;
  isComplete: boolean;
  /** Why the answers could not be handed in. */
  refused: string[];
  onChange: (section: string) => void;
  onSend: () => void;
}

/** All answers once more, each topic with a way back to it. */
export function Review({ said, form, response, isComplete, refused, onChange, onSend }: Given) {
  const answers = flat(response);
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => heading.current?.focus(), []);
  const sections = (form.item ?? [])
    .map((section) => ({ section, asked: questions(section).filter(({ linkId }) => answers.has(linkId)) }))
    .filter(({ asked }) => asked.length);
  return (
    <>
      <h1 ref={heading} tabIndex={-1}>
        {said.reviewTitle}
      </h1>
      <p>{said.reviewWhy}</p>
      {sections.map(({ section, asked }) => (
        <section key={section.linkId} className="reviewed">
          <h2>{section.text}</h2>
          <dl>
            {asked.map(({ linkId, text }) => (
              <div key={linkId}>
                <dt>{text}</dt>
                <dd>{answers.get(linkId)}</dd>
              </div>
            ))}
          </dl>
          <button type="button" className="link" onClick={() => onChange(section.linkId)}>
            {said.change}
            <span className="hidden"> {section.text}</span>
          </button>
        </section>
      ))}
      {refused.map((sentence) => (
        <p className="complaint" role="alert" key={sentence}>
          {sentence}
        </p>
      ))}
      <button type="button" className="button" disabled={!isComplete} onClick={onSend}>
        {said.send}
      </button>
    </>
  );
}

function questions(section: QuestionnaireItem): QuestionnaireItem[] {
  const form: Questionnaire = { resourceType: 'Questionnaire', status: 'active', item: [section] };
  return [...items(form)].map(({ item }) => item).filter(({ type }) => type !== 'group' && type !== 'display');
}
