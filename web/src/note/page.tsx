import type { Parameters, Questionnaire, QuestionnaireResponse } from 'fhir/r4';
import { Suspense, lazy, useEffect, useState } from 'react';
import { Refused, type Stored, ask, operate, read, search, store, storeOnce } from '../fhir/client';
import { flat } from '../form/answers';
import { Draft } from '../form/draft';
import '../form/form.css';
import { carryOver } from './carried';
import { Child } from './child';
import { Choose } from './choose';
import './note.css';
import { Receipt, type Signed } from './receipt';
import { type Session, launched } from './session';
import { Start } from './start';

// The form's chunk is large: it is on its way while the registry is asked who, about whom and what is known.
const loading = import('./editor');
const Editor = lazy(() => loading);

const NOTE_NUMBER = 'https://csor.example/fhir/sid/note';

type Step =
  | { at: 'looking' }
  | { at: 'start' }
  | { at: 'choosing' }
  | { at: 'preparing' }
  | { at: 'writing'; form: Questionnaire; draft: Draft; fromRecord: ReadonlySet<string> }
  | { at: 'signed'; signed: Signed }
  | { at: 'finished' }
  | { at: 'failed'; sentences: string[] };

/** The operative note, from the launch to the signed document. */
export default function Note() {
  const [session, setSession] = useState<Session | null>(null);
  const [step, go] = useState<Step>({ at: 'looking' });

  useEffect(() => {
    document.title = 'Operative note · CSOR';
    launched()
      .then((found) => (found ? begin(found) : go({ at: 'start' })))
      .catch(fail);
  }, []);

  function fail(refusal: unknown): void {
    const sentences = refusal instanceof Refused ? refusal.sentences : [String(refusal)];
    go({ at: 'failed', sentences });
  }

  async function begin(found: Session): Promise<void> {
    setSession(found);
    const id = new URLSearchParams(window.location.search).get('response') ?? found.response;
    if (id) {
      await open(id);
    } else if (found.form) {
      await prepare(found, found.form);
    } else {
      go({ at: 'choosing' });
    }
  }

  async function open(id: string): Promise<void> {
    go({ at: 'preparing' });
    const stored = await read<QuestionnaireResponse>('QuestionnaireResponse', id);
    if (stored.resource.status !== 'in-progress') {
      go({ at: 'failed', sentences: ['This note is signed already.'] });
      return;
    }
    const form = await formOf(stored.resource.questionnaire ?? '');
    go({ at: 'writing', form, draft: drafted(stored), fromRecord: new Set() });
  }

  async function prepare(found: Session, canonical: string): Promise<void> {
    go({ at: 'preparing' });
    const [form, populated] = await asked(found, canonical);
    const fromRecord = new Set([...flat(populated).keys()].map((key) => key.split(' ')[0] ?? key));
    for (const linkId of preset(form)) {
      fromRecord.delete(linkId);
    }
    const begun: QuestionnaireResponse = {
      ...populated,
      identifier: { system: NOTE_NUMBER, value: crypto.randomUUID() },
      subject: { reference: found.patient.reference },
      author: { reference: found.user.reference },
      ...(found.encounter ? { encounter: found.encounter } : {})
    };
    const resource = await carryOver(begun);
    go({ at: 'writing', form, draft: drafted({ resource, etag: '' }), fromRecord });
  }

  async function finish(): Promise<void> {
    if (session?.launched) {
      await ask('DELETE', '/session').catch(() => null);
      go({ at: 'finished' });
    } else {
      go({ at: 'choosing' });
    }
  }

  return (
    <div className="note">
      <header className="bar note-bar">
        <div className="bar-inner">
          <strong className="brand">CSOR</strong>
          {session ? <Child session={session} /> : <span>Operative note</span>}
        </div>
      </header>
      <main className={step.at === 'writing' ? 'note-main' : 'plain'}>
        <Shown
          step={step}
          session={session}
          onStart={(found) => begin(found).catch(fail)}
          onForm={(canonical) => session && prepare(session, canonical).catch(fail)}
          onSigned={(signed) => go({ at: 'signed', signed })}
          onFinish={() => void finish()}
        />
      </main>
    </div>
  );
}

interface Given {
  step: Step;
  session: Session | null;
  onStart: (session: Session) => void;
  onForm: (canonical: string) => void;
  onSigned: (signed: Signed) => void;
  onFinish: () => void;
}

function Shown({ step, session, onStart, onForm, onSigned, onFinish }: Given) {
  switch (step.at) {
    case 'start':
      return <Start onStart={onStart} />;
    case 'choosing':
      return <Choose onChosen={onForm} />;
    case 'writing':
      return session ? (
        <Suspense fallback={<Preparing />}>
          <Editor session={session} {...step} onSigned={onSigned} />
        </Suspense>
      ) : null;
    case 'signed':
      return session ? (
        <Receipt session={session} signed={step.signed} onAnother={onFinish} />
      ) : null;
    case 'finished':
      return (
        <section>
          <h1>You have finished</h1>
          <p>The session has ended. This window can be closed.</p>
        </section>
      );
    case 'failed':
      return (
        <section role="alert">
          <h1>The note cannot be opened</h1>
          {step.sentences.map((sentence) => (
            <p key={sentence}>{sentence}</p>
          ))}
        </section>
      );
    default:
      return <Preparing />;
  }
}

function Preparing() {
  return (
    <p className="waiting" role="status">
      Preparing the note
    </p>
  );
}

function drafted(stored: Stored<QuestionnaireResponse>): Draft {
  return new Draft(stored, {
    put: (response, etag) =>
      !response.id && response.identifier
        ? storeOnce(response, response.identifier) // an answer that was lost makes no second note
        : store(response, etag),
    current: (id) => read<QuestionnaireResponse>('QuestionnaireResponse', id)
  });
}

/** Return a form and a response that is populated for it: at once where it is said which version. */
async function asked(
  session: Session,
  canonical: string
): Promise<[Questionnaire, QuestionnaireResponse]> {
  if (canonical.includes('|')) {
    return Promise.all([formOf(canonical), populate(session, canonical)]);
  }
  const form = await formOf(canonical);
  const version = form.version ? `|${form.version}` : '';
  return [form, await populate(session, `${form.url}${version}`)];
}

async function formOf(canonical: string): Promise<Questionnaire> {
  const [url = '', version] = canonical.split('|');
  const [form] = await search<Questionnaire>('Questionnaire', version ? { url, version } : { url });
  if (!form) {
    throw new Error('The registry does not have the form of this note.');
  }
  return form;
}

/** Return the linkIds that the form itself answers beforehand. */
function preset(form: Questionnaire): string[] {
  const found: string[] = [];
  const visit = (list: Questionnaire['item']): void => {
    for (const item of list ?? []) {
      if (item.initial || item.answerOption?.some((option) => option.initialSelected)) {
        found.push(item.linkId);
      }
      visit(item.item);
    }
  };
  visit(form.item);
  return found;
}

async function populate(session: Session, canonical: string): Promise<QuestionnaireResponse> {
  const context = (name: string, reference: string) => ({
    name: 'context',
    part: [
      { name: 'name', valueString: name },
      { name: 'content', valueReference: { reference } }
    ]
  });
  const answer = await operate<Parameters>('Questionnaire/$populate', [
    { name: 'questionnaire', valueUri: canonical },
    { name: 'subject', valueReference: { reference: session.patient.reference } },
    context('patient', session.patient.reference),
    context('user', session.user.reference),
    ...(session.encounter ? [context('encounter', session.encounter.reference)] : []),
    ...(session.data ? [{ name: 'data', resource: session.data }] : [])
  ]);
  const found = answer.parameter?.find(({ name }) => name === 'response')?.resource;
  if (found?.resourceType !== 'QuestionnaireResponse') {
    throw new Error('The registry gave no draft to begin with.');
  }
  return found;
}
