import {
  isHiddenByEnableWhen,
  questionnaireResponseStore,
  questionnaireStore,
  useQuestionnaireResponseStore,
  useQuestionnaireStore
} from '@aehrc/smart-forms-renderer';
import type { Questionnaire, QuestionnaireItem, QuestionnaireResponse } from 'fhir/r4';
import {
  type MutableRefObject,
  useEffect,
  useMemo,
  useRef,
  useState,
  useSyncExternalStore
} from 'react';
import { Refused } from '../fhir/client';
import { items } from '../form/answers';
import type { Draft } from '../form/draft';
import { Words } from '../form/marks';
import { FormView } from '../form/view';
import { Message } from './message';
import { Review } from './review';
import { type Texts, filled } from './texts';

interface Given {
  said: Texts;
  /** The topic that was shown last, by linkId: there it goes on. */
  topic: MutableRefObject<string>;
  form: Questionnaire;
  draft: Draft;
  greeting: string;
  onLater: () => void;
  onSend: () => Promise<void>;
}

/** The questions, one topic on a screen, and at the end all answers to be looked at again. */
export default function Questions({ said, topic, form, draft, greeting, onLater, onSend }: Given) {
  const [begun, begin] = useState<QuestionnaireResponse>(draft.response);
  const [refused, refuse] = useState<string[]>([]);
  const [isReviewing, setReviewing] = useState(false);
  const [back, setBack] = useState(topic.current);
  const [isBuilt, setBuilt] = useState(false);
  const state = useSyncExternalStore(draft.subscribe, draft.snapshot);
  const index = useQuestionnaireStore.use.currentPageIndex();
  const pages = usePages(form);
  const heading = useRef<HTMLHeadingElement>(null);
  const invalid = useQuestionnaireResponseStore.use.invalidItems();
  const words = useMemo(
    () => ({
      optional: said.optional,
      required: said.missing,
      error: said.error,
      choose: said.choose,
      calculated: said.calculated,
      clear: said.clear
    }),
    [said]
  );
  const at = Math.max(
    0,
    pages.findIndex(({ position }) => position === index)
  );

  const shown = pages[at]?.item.linkId;

  useEffect(() => {
    if (isBuilt) {
      window.scrollTo(0, 0);
      heading.current?.focus();
    }
  }, [index, isReviewing, isBuilt]);

  useEffect(() => {
    if (isBuilt && shown) {
      topic.current = shown;
    }
  }, [isBuilt, shown, topic]);

  function turn(position: number | undefined): void {
    questionnaireResponseStore.setState({ requiredItemsIsHighlighted: false });
    if (position !== undefined) {
      questionnaireStore.getState().switchPage(position);
    }
    void draft.save();
  }

  /** Show the topic that was asked for, or the first that is not answered yet. */
  function goOn(): void {
    const { pages: all, switchPage } = questionnaireStore.getState();
    const missing = questionnaireResponseStore.getState().invalidItems;
    const open = form.item?.find((item) => below(item).some((linkId) => linkId in missing));
    const position = all[back || (open?.linkId ?? '')]?.pageIndex;
    setBack('');
    if (position !== undefined) {
      switchPage(position);
    }
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

  if (state.kind === 'ended') {
    return <Message title={said.endedTitle} sentences={[said.ended]} />;
  }
  if (state.kind === 'conflict') {
    const { mine, theirs } = state;
    const keep = (item: QuestionnaireResponse['item']): void => {
      begin({ ...theirs.resource, item });
      setReviewing(false);
      void draft.settle(theirs, item);
    };
    return (
      <Message title={said.conflictTitle} sentences={[said.conflictWhy]}>
        <div className="turning">
          <button type="button" className="button" onClick={() => keep(mine.item)}>
            {said.mine}
          </button>
          <button type="button" className="button button-quiet" onClick={() => keep(theirs.resource.item)}>
            {said.theirs}
          </button>
        </div>
      </Message>
    );
  }
  const standing = (
    <p className="standing" role="status" data-state={state.kind}>
      {state.kind === 'saved'
        ? said.saved
        : state.kind === 'offline'
          ? said.offline
          : state.kind === 'refused'
            ? `${said.refused} ${state.sentences.join(' ')}`
            : said.saving}
    </p>
  );
  if (isReviewing) {
    return (
      <>
        <Review
          said={said}
          form={form}
          response={draft.response}
          isComplete={Object.keys(invalid).length === 0}
          refused={refused}
          onChange={(section) => {
            begin(draft.response);
            setReviewing(false);
            setBack(section);
          }}
          onSend={() =>
            void onSend().catch((refusal) =>
              refuse(refusal instanceof Refused ? refusal.sentences : [String(refusal)])
            )
          }
        />
        {standing}
      </>
    );
  }
  return (
    <>
      {pages.length > 1 ? (
        <p className="progress">{filled(said.progress, { now: at + 1, all: pages.length })}</p>
      ) : null}
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
            onBuilt={() => {
              setBuilt(true);
              goOn();
            }}
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
      {standing}
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
  const enableWhenIsActivated = useQuestionnaireStore.use.enableWhenIsActivated();
  const enableWhenItems = useQuestionnaireStore.use.enableWhenItems();
  const enableWhenExpressions = useQuestionnaireStore.use.enableWhenExpressions();
  return (form.item ?? [])
    .filter(({ linkId }) => pages[linkId] && !pages[linkId].isHidden)
    .filter(
      ({ linkId }) =>
        !isHiddenByEnableWhen({ linkId, enableWhenIsActivated, enableWhenItems, enableWhenExpressions })
    )
    .map((item) => ({ item, position: pages[item.linkId]?.pageIndex ?? 0 }));
}

function below(section: QuestionnaireItem): string[] {
  return [...items({ resourceType: 'Questionnaire', status: 'active', item: [section] })].map(
    ({ item }) => item.linkId
  );
}
