import type { QuestionnaireResponse } from 'fhir/r4';
import { Suspense, lazy, useEffect, useRef, useState } from 'react';
import { Refused } from '../fhir/client';
import '../form/form.css';
import { Draft } from '../form/draft';
import { type Sitting, anotherLink, begin, decide, form, keep, submit } from './api';
import { inWordsOf } from './asked';
import { Birth } from './birth';
import { Consent } from './consent';
import { Languages } from './languages';
import { Message } from './message';
import './survey.css';
import { type Texts, filled, texts } from './texts';

// The questions' chunk is large: it is on its way while the date of birth is asked for.
const loading = import('./questions');
const Questions = lazy(() => loading);

type Step =
  | { at: 'loading' }
  | { at: 'no-link' }
  | { at: 'birth'; refused: string[] }
  | { at: 'consent'; sitting: Sitting }
  | { at: 'questions'; sitting: Sitting; draft: Draft }
  | { at: 'later'; sitting: Sitting; draft: Draft; told: string[] }
  | { at: 'stopped' }
  | { at: 'sent' }
  | { at: 'failed'; isClosed: boolean; sentences: string[] };

const PARENTS = 'parent-reported';
const GONE = 410;

/** A parent's survey, from the link to the last answer. */
export default function Survey() {
  // The link's secret is after the #, which browsers send to nobody; it leaves the address bar at once.
  const token = useRef(window.location.hash.slice(1));
  const [language, setLanguage] = useState('en');
  const topic = useRef('');
  const [step, go] = useState<Step>({ at: 'loading' });
  const said = texts(language);

  useEffect(() => {
    window.history.replaceState(null, '', '/survey');
    if (token.current) {
      go({ at: 'birth', refused: [] });
    } else {
      load().catch(() => go({ at: 'no-link' }));
    }
  }, []);

  useEffect(() => {
    document.title = said.title;
    document.documentElement.lang = language === 'en' ? 'en-GB' : language;
  }, [language, said]);

  async function load(wanted?: string): Promise<void> {
    const sitting = await form(wanted);
    setLanguage(sitting.language);
    if (sitting.streams.some(({ decision }) => decision === null)) {
      go({ at: 'consent', sitting });
    } else {
      go({ at: 'questions', sitting, draft: drafted(sitting) });
    }
  }

  /** Show the survey in another language, with the answers so far; not while they cannot be kept. */
  async function choose(wanted: string): Promise<void> {
    if ('draft' in step) {
      await step.draft.save();
      if (!step.draft.isKept) {
        return;
      }
      step.draft.end();
    }
    await load(wanted);
  }

  async function enter(date: string): Promise<void> {
    try {
      await begin(token.current, date);
    } catch (refusal) {
      if (refusal instanceof Refused && refusal.status !== GONE) {
        go({ at: 'birth', refused: refusal.sentences });
      } else {
        fail(refusal);
      }
      return;
    }
    await load().catch(fail);
  }

  async function decided(
    sitting: Sitting,
    streams: { code: string; decision: string }[]
  ): Promise<void> {
    await decide(streams);
    const isStopped = streams.some(({ code, decision }) => code === PARENTS && decision === 'deny');
    go(isStopped ? { at: 'stopped' } : { at: 'questions', sitting, draft: drafted(sitting) });
  }

  async function send(draft: Draft): Promise<void> {
    await draft.save();
    if (!draft.isKept) {
      return;
    }
    await submit(draft.etag);
    draft.end();
    go({ at: 'sent' });
  }

  function fail(refusal: unknown): void {
    const isClosed = refusal instanceof Refused && refusal.status === GONE;
    go({ at: 'failed', isClosed, sentences: sentencesOf(refusal) });
  }

  function body() {
    switch (step.at) {
      case 'loading':
        return <Waiting said={said} />;
      case 'no-link':
        return <Message title={said.noLinkTitle} sentences={[said.noLink]} />;
      case 'birth':
        return <Birth said={said} refused={step.refused} onDate={(date) => void enter(date)} />;
      case 'consent':
        return (
          <Consent
            said={said}
            streams={step.sitting.streams}
            onDecided={(streams) => decided(step.sitting, streams).catch(fail)}
          />
        );
      case 'questions':
        return (
          <Questions
            key={step.sitting.language}
            said={said}
            topic={topic}
            form={step.sitting.questionnaire}
            draft={step.draft}
            greeting={filled(said.greeting, { given: step.sitting.child.given })}
            onLater={() => {
              void step.draft.save().then(() => go({ ...step, at: 'later', told: [] }));
            }}
            onSend={() => send(step.draft)}
          />
        );
      case 'later':
        return (
          <Message
            title={said.laterTitle}
            sentences={
              step.told.length
                ? step.told
                : [later(said.laterText, step.sitting.until)]
            }>
            <div className="turning">
              {step.told.length ? null : (
                <button
                  type="button"
                  className="button"
                  onClick={() =>
                    void anotherLink().then(
                      () => go({ ...step, told: [said.anotherSent] }),
                      (refusal) => go({ ...step, told: sentencesOf(refusal) })
                    )
                  }>
                  {said.anotherLink}
                </button>
              )}
              <button
                type="button"
                className="button button-quiet"
                onClick={() => go({ at: 'questions', sitting: step.sitting, draft: step.draft })}>
                {said.goOn}
              </button>
            </div>
          </Message>
        );
      case 'stopped':
        return <Message title={said.stoppedTitle} sentences={[said.stopped]} />;
      case 'sent':
        return <Message title={said.sentTitle} sentences={[said.sent]} />;
      case 'failed':
        return (
          <Message
            title={step.isClosed ? said.closedTitle : said.failedTitle}
            sentences={step.sentences}
          />
        );
    }
  }

  return (
    <div className="survey">
      <header className="bar">
        <div className="bar-inner">
          <strong className="brand">CSOR</strong>
          {'sitting' in step && step.at !== 'later' ? (
            <Languages
              said={said}
              offered={step.sitting.languages}
              language={language}
              onChosen={(wanted) => void choose(wanted).catch(fail)}
            />
          ) : null}
        </div>
      </header>
      <main>
        {said.draftNote ? <p className="draft-note">{said.draftNote}</p> : null}
        <Suspense fallback={<Waiting said={said} />}>{body()}</Suspense>
      </main>
    </div>
  );
}

function Waiting({ said }: { said: Texts }) {
  return (
    <p className="waiting" role="status">
      {said.loading}
    </p>
  );
}

function sentencesOf(refusal: unknown): string[] {
  return refusal instanceof Refused ? refusal.sentences : [String(refusal)];
}

function drafted(sitting: Sitting): Draft {
  const stored = { resource: sitting.response, etag: sitting.etag };
  const draft = new Draft(stored, {
    put: keep,
    current: async () => {
      const now = await form();
      return { resource: now.response as QuestionnaireResponse, etag: now.etag };
    }
  });
  if (sitting.language !== (sitting.response.language ?? 'en')) {
    const { item, language } = inWordsOf(sitting.questionnaire, sitting.response, sitting.language);
    draft.change(item, { language });
  }
  return draft;
}

/** Return what is said of going on later; without a last day, nothing is said of it. */
function later(text: string, until: string | null): string {
  if (until === null) {
    return text.slice(text.indexOf('. ') + 2);
  }
  return filled(text, { until: ukDate(until) });
}

function ukDate(date: string): string {
  return date.slice(0, 10).split('-').reverse().join('/');
}
