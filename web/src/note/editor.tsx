import { questionnaireResponseStore } from '@aehrc/smart-forms-renderer';
import type { Bundle, Questionnaire, QuestionnaireResponse } from 'fhir/r4';
import { useEffect, useMemo, useRef, useState, useSyncExternalStore } from 'react';
import { Refused, operate, read } from '../fhir/client';
import { Marked } from '../form/marks';
import { FormView } from '../form/view';
import { carried, changed, unmarked } from './carried';
import { Conflict } from './conflict';
import type { Draft } from '../form/draft';
import { type Complaint, complaints } from './issues';
import type { Signed } from './receipt';
import { Sections, goTo, useMissing } from './sections';
import type { Session } from './session';
import { Standing } from './standing';

const EFFORT = 'https://csor.example/fhir/StructureDefinition/note-effort';
const QUEUE = 60;

interface Given {
  session: Session;
  form: Questionnaire;
  draft: Draft;
  fromRecord: ReadonlySet<string>;
  onSigned: (signed: Signed) => void;
}

/** The note while it is written: the form, how the draft stands, and signing. */
export default function Editor({ session, form, draft, fromRecord, onSigned }: Given) {
  const state = useSyncExternalStore(draft.subscribe, draft.snapshot);
  const [shown, show] = useState<QuestionnaireResponse>(draft.response);
  const [found, setFound] = useState<Complaint[]>([]);
  const [isSigning, setSigning] = useState(false);
  const missing = useMissing(form);
  const summary = useRef<HTMLDivElement>(null);
  const [carriedOver, setCarried] = useState<ReadonlySet<string>>(carried(draft.response));
  const marks = useMemo(() => ({ fromRecord, carriedOver }), [fromRecord, carriedOver]);

  useEffect(() => {
    const warn = (event: BeforeUnloadEvent): void => {
      if (!draft.isKept) {
        event.preventDefault();
      }
    };
    window.addEventListener('beforeunload', warn);
    return () => window.removeEventListener('beforeunload', warn);
  }, [draft]);

  useEffect(() => {
    const press = (event: KeyboardEvent): void => {
      if (event.key === 'F8' && missing.length) {
        event.preventDefault();
        goTo(following(form, missing));
      } else if (event.key === 'Enter' && event.ctrlKey) {
        event.preventDefault();
        void sign();
      }
    };
    window.addEventListener('keydown', press);
    return () => window.removeEventListener('keydown', press);
  });

  useEffect(() => {
    if (found.length) {
      summary.current?.scrollIntoView({ block: 'center' });
      summary.current?.focus({ preventScroll: true });
    }
  }, [found]);

  function take(item: QuestionnaireResponse['item']): void {
    const confirmed = changed(carriedOver, draft.response.item, item);
    draft.change(item, { extension: unmarked(draft.response, confirmed) });
    if (confirmed.size) {
      setCarried(carried(draft.response));
    }
  }

  function confirm(): void {
    draft.change(draft.response.item, { extension: unmarked(draft.response, carriedOver) });
    setCarried(new Set());
  }

  async function sign(): Promise<void> {
    if (isSigning) {
      return;
    }
    setSigning(true);
    setFound([]);
    (document.activeElement as HTMLElement | null)?.blur();
    await new Promise((resolve) => window.setTimeout(resolve, QUEUE));
    await draft.save();
    if (carried(draft.response).size) {
      refuse([{ linkId: null, text: 'Confirm the answers from your earlier note, or change them.' }]);
    } else if (draft.state.kind === 'saved') {
      await signStored();
    } else {
      refuse([{ linkId: null, text: 'The draft is not saved, so it cannot be signed yet.' }]);
    }
    setSigning(false);
  }

  async function signStored(): Promise<void> {
    const parameter = [{ name: 'hospital', valueReference: { reference: session.hospital.reference } }];
    if (!session.launched) {
      parameter.push({ name: 'signer', valueReference: { reference: session.user.reference } });
    }
    try {
      const answer = await operate<Bundle>(`QuestionnaireResponse/${draft.id}/$sign`, parameter, {
        'If-Match': draft.etag
      });
      draft.end();
      onSigned({ composition: compositionOf(answer), seconds: await secondsOf(draft.id) });
    } catch (refusal) {
      if (!(refusal instanceof Refused)) {
        throw refusal;
      }
      const listed = refusal.outcome ? complaints(refusal.outcome, form, draft.response) : [];
      refuse(listed.length ? listed : refusal.sentences.map((text) => ({ linkId: null, text })));
    }
  }

  function refuse(listed: Complaint[]): void {
    questionnaireResponseStore.getState().highlightRequiredItems();
    setFound(listed);
  }

  if (state.kind === 'conflict') {
    return (
      <Conflict
        form={form}
        mine={state.mine}
        theirs={state.theirs}
        onChosen={(item) => {
          show({ ...state.theirs.resource, item });
          setCarried(carried(state.theirs.resource));
          void draft.settle(state.theirs, item);
        }}
      />
    );
  }
  return (
    <div className="editor">
      <Sections form={form} missing={missing} />
      <div className="note-form">
        <h1>{form.title}</h1>
        {found.length ? (
          <div className="summary" ref={summary} tabIndex={-1} role="alert">
            <h2>The note cannot be signed yet</h2>
            <ul>
              {found.map(({ linkId, text }, index) => (
                <li key={`${linkId}-${index}`}>
                  {linkId ? (
                    <button type="button" className="link" onClick={() => goTo(linkId)}>
                      {text}
                    </button>
                  ) : (
                    text
                  )}
                </li>
              ))}
            </ul>
          </div>
        ) : null}
        {carriedOver.size ? (
          <div className="carried">
            <p>
              <strong>{carriedOver.size} answers about your technique</strong> are from your last note
              of this operation, and marked. Look at them, and change what was different this time.
            </p>
            <button type="button" className="button button-quiet" onClick={confirm}>
              Confirm the marked answers
            </button>
          </div>
        ) : null}
        <Marked.Provider value={marks}>
          <FormView form={form} response={shown} onAnswers={take} />
        </Marked.Provider>
      </div>
      <footer className="signing">
        <Standing state={state} />
        <span className="keys">
          {missing.length ? `${missing.length} left · F8 next` : 'Complete'} · Ctrl+Enter signs
        </span>
        <button type="button" className="button" disabled={isSigning} onClick={() => void sign()}>
          {isSigning ? 'Signing' : `Sign as ${session.user.display}`}
        </button>
      </footer>
    </div>
  );
}

/** Return the next item without an answer after where the keyboard is. */
function following(form: Questionnaire, missing: string[]): string {
  const here = document.activeElement?.closest('[data-linkid]')?.getAttribute('data-linkid');
  const order = [...document.querySelectorAll('.note-form [data-linkid]')].map((place) =>
    place.getAttribute('data-linkid')
  );
  const at = here ? order.indexOf(here) : -1;
  const later = missing.find((linkId) => order.indexOf(linkId) > at);
  return later ?? missing[0] ?? form.item?.[0]?.linkId ?? '';
}

function compositionOf(answer: Bundle): string | null {
  for (const { response } of answer.entry ?? []) {
    const place = /(Composition\/[^/]+)/.exec(response?.location ?? '');
    if (place) {
      return place[1] ?? null;
    }
  }
  return null;
}

async function secondsOf(id: string): Promise<number | null> {
  const signed = await read<QuestionnaireResponse>('QuestionnaireResponse', id).catch(() => null);
  const effort = signed?.resource.extension?.find((each) => each.url === EFFORT);
  return effort?.extension?.find((each) => each.url === 'seconds')?.valueInteger ?? null;
}
