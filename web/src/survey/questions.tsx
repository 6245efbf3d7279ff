import {
  questionnaireResponseStore,
  questionnaireStore,
  useQuestionnaireResponseStore,
  useQuestionnaireStore
} from '@aehrc/smart-forms-renderer';
import type { Questionnaire, QuestionnaireItem, QuestionnaireResponse } from 'fhir/r4';
import { useEffect, useMemo, useRef, useState, useSyncExternalStore } from 'react';
import { items } from '../form/answers';
import type { Draft } from '../form/draft';
import { Words } from '../form/marks';
import { FormView } from '../form/view';
import { Review } from './review';
import { type Texts, filled } from './texts';

interface Given {
  said: Texts;
  form: Questionnaire;
  draft: Draft;
  greeting: string;
  onLater: () => void;
  onSend: () => void;
}

/** The questions, one topic on a screen, and at the end all answers to be looked at again. */
export function Questions({ said, form, draft, greeting, onLater, onSend }: Given) {
  const [begun] = useState<QuestionnaireResponse>(draft.response);
  const [isReviewing, setReviewing] = useState(false);
  const [isBuilt, setBuilt] = useState(false);
  const state = useSyncExternalStore(draft.subscribe, draft.snapshot);
  const index = useQuestionnaireStore.use.currentPageIndex();
  const pages = usePages(form);
  const heading = useRef<HTMLHeadingElement>(null);
  const invalid = useQuestionnaireResponseStore.use.invalidItems();
  const words = useMemo(
    () => ({ optional: said.optional, required: said.missing, error: said.error, choose: said.choose }),
    [said]
  );
  const at = Math.max(
    0,
    pages.findIndex(({ position }) => position === index)
  );

  useEffect(() => {
    if (isBuilt) {
      window.scrollTo(0, 0);
      heading.current?.focus();
    }
  }, [index, isReviewing, isBuilt]);

  function turn(position: number | undefined): void {
    questionnaireResponseStore.setState({ requiredItemsIsHighlighted: false });
    if (position !== undefined) {
      questionnaireStore.getState().switchPage(position);
    }
    void draft.save();
  }

  async function next(): Promise<void> {
    (document.activeElement as HTMLElement | null)?.blur();
    await new Promise((resolve) => window.setTimeout(resolve, 30));
    const page = pages[at]?.item;
    const missing = questionnaireResponseStore.getState().invalidItems;
    const wrong = page ? below(page).find((linkId) => linkId in missing) : undefined;
    if (wrong) {
      questionnaireResponseStore.getState().highlightRequiredItems();
      window.setTimeout(() => {
        document
          .querySelector<HTMLElement>(`[data-linkid="${CSS.escape(wrong)}"] :is(input, textarea, select)`)
          ?.focus();
      }, 50);
    } else if (at + 1 < pages.length) {
      turn(pages[at + 1]?.position);
    } else {
      setReviewing(true);
      void draft.save();
    }
  }

  if (isReviewing) {
    return (
      <Review
        said={said}
        form={form}
        response={draft.response}
        isComplete={Object.keys(invalid).length === 0}
        onChange={(section) => {
          setReviewing(false);
          turn(pages.find(({ item }) => item.linkId === section)?.position);
        }}
        onSend={onSend}
      />
    );
  }
  return (
    <>
      <p className="progress">{filled(said.progress, { now: at + 1, all: pages.length })}</p>
      <h1 ref={heading} tabIndex={-1}>
        <span className="greeting">{greeting}</span>
        {pages[at]?.item.text}
      </h1>
      <div className="questions">
        <Words.Provider value={words}>
          <FormView
            form={form}
            response={begun}
            onAnswers={(item) => draft.change(item)}
            onBuilt={() => setBuilt(true)}
          />
        </Words.Provider>
      </div>
      <div className="turning">
        <button type="button" className="button" onClick={() => void next()}>
          {said.next}
        </button>
        {at > 0 ? (
          <button
            type="button"
            className="button button-quiet"
            onClick={() => turn(pages[at - 1]?.position)}>
            {said.back}
          </button>
        ) : null}
      </div>
      <button type="button" className="link link-later" onClick={onLater}>
        {said.later}
      </button>
      <p className="standing" role="status" data-state={state.kind}>
        {state.kind === 'saved'
          ? said.saved
          : state.kind === 'offline'
            ? said.offline
            : state.kind === 'refused'
              ? `${said.refused} ${state.sentences.join(' ')}`
              : state.kind === 'ended'
                ? said.ended
                : said.saving}
      </p>
    </>
  );
}

interface Page {
  item: QuestionnaireItem;
  position: number;
}

/** Return the topics that are asked now: those that an answer has switched off are passed over. */
function usePages(form: Questionnaire): Page[] {
  const pages = useQuestionnaireStore.use.pages();
  return (form.item ?? [])
    .map((item) => ({ item, page: pages[item.linkId] }))
    .filter(({ page }) => page && !page.isHidden)
    .map(({ item, page }) => ({ item, position: page?.pageIndex ?? 0 }));
}

function below(section: QuestionnaireItem): string[] {
  return [...items({ resourceType: 'Questionnaire', status: 'active', item: [section] })].map(
    ({ item }) => item.linkId
  );
}
