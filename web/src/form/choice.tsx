import { type QItemOverrideComponentProps, useValueSetCodings } from '@aehrc/smart-forms-renderer';
import type {
  QuestionnaireItem,
  QuestionnaireItemAnswerOption,
  QuestionnaireResponseItem,
  QuestionnaireResponseItemAnswer
} from 'fhir/r4';
import { useContext, useId, useState } from 'react';
import { isExclusive, keyOf, words } from './answers';
import { Field } from './field';
import { Words } from './marks';

const FEW = 12;

function options(item: QuestionnaireItem, fromValueSet: QuestionnaireItemAnswerOption[]) {
  return item.answerOption?.length ? item.answerOption : fromValueSet;
}

function bare(option: QuestionnaireItemAnswerOption): QuestionnaireResponseItemAnswer {
  const { extension: _extension, initialSelected: _initialSelected, ...value } = option;
  return value;
}

function answersOf(qrItem: QItemOverrideComponentProps['qrItem']): QuestionnaireResponseItemAnswer[] {
  const one = Array.isArray(qrItem) ? qrItem[0] : qrItem;
  return (one?.answer ?? []).filter((answer) => keyOf(answer) !== 'null');
}

function response(
  item: QuestionnaireItem,
  answer: QuestionnaireResponseItemAnswer[]
): QuestionnaireResponseItem {
  const made: QuestionnaireResponseItem = { linkId: item.linkId, text: item.text };
  return answer.length ? { ...made, answer } : made;
}

/** One of some options, or several: radio buttons and check boxes of the browser itself. */
export function Choice(given: QItemOverrideComponentProps) {
  const { qItem: item, qrItem, onQrItemChange } = given;
  const name = useId();
  const said = useContext(Words);
  const { codings } = useValueSetCodings(item);
  const offered = options(item, codings.map((valueCoding) => ({ valueCoding })));
  const chosen = answersOf(qrItem);
  const keys = new Set(chosen.map(keyOf));

  function toggle(option: QuestionnaireItemAnswerOption, isOn: boolean): void {
    const key = keyOf(option);
    if (!item.repeats) {
      onQrItemChange(response(item, isOn ? [bare(option)] : []));
      return;
    }
    const exclusive = new Set(offered.filter(isExclusive).map(keyOf));
    const kept = chosen
      .map(({ id: _id, ...answer }) => answer)
      .filter((answer) => keyOf(answer) !== key)
      .filter((answer) => !isOn || (!exclusive.has(key) && !exclusive.has(keyOf(answer))));
    onQrItemChange(response(item, isOn ? [...kept, bare(option)] : kept));
  }

  if (!item.repeats && offered.length > FEW) {
    return <Selection given={given} offered={offered} chosen={chosen} toggle={toggle} />;
  }
  return (
    <Field
      item={item}
      isGroup
      parentIsReadOnly={given.parentIsReadOnly}
      feedback={given.feedbackFromParent}
      isBare={given.isRepeated}>
      {({ isReadOnly }) => (
        <div className="options">
          {offered.map((option) => {
            const key = keyOf(option);
            return (
              <label key={key} className="option">
                <input
                  type={item.repeats ? 'checkbox' : 'radio'}
                  name={name}
                  value={key}
                  checked={keys.has(key)}
                  disabled={isReadOnly}
                  onChange={(event) => toggle(option, event.target.checked)}
                />
                <span>{words(option)}</span>
              </label>
            );
          })}
          {chosen.length && !item.repeats && !item.required && !isReadOnly ? (
            <button
              type="button"
              className="link link-clear"
              onClick={() => onQrItemChange(response(item, []))}>
              {said.clear}
              <span className="hidden"> {item.text}</span>
            </button>
          ) : null}
        </div>
      )}
    </Field>
  );
}

interface Selected {
  given: QItemOverrideComponentProps;
  offered: QuestionnaireItemAnswerOption[];
  chosen: QuestionnaireResponseItemAnswer[];
  toggle: (option: QuestionnaireItemAnswerOption, isOn: boolean) => void;
}

/** One of many options: the browser's own list. */
function Selection({ given, offered, chosen, toggle }: Selected) {
  const { qItem: item } = given;
  const said = useContext(Words);
  return (
    <Field
      item={item}
      parentIsReadOnly={given.parentIsReadOnly}
      feedback={given.feedbackFromParent}
      isBare={given.isRepeated}>
      {({ id, describedBy, isInvalid, isReadOnly }) => (
        <select
          id={id}
          className="input"
          value={chosen[0] ? keyOf(chosen[0]) : ''}
          disabled={isReadOnly}
          aria-describedby={describedBy}
          aria-invalid={isInvalid}
          aria-label={given.isRepeated ? item.text : undefined}
          onChange={(event) => {
            const option = offered.find((each) => keyOf(each) === event.target.value);
            if (option) {
              toggle(option, true);
            } else {
              given.onQrItemChange(response(item, []));
            }
          }}>
          <option value="">{said.choose}</option>
          {offered.map((option) => (
            <option key={keyOf(option)} value={keyOf(option)}>
              {words(option)}
            </option>
          ))}
        </select>
      )}
    </Field>
  );
}

/** An option, or the reader's own words: a text box that suggests the options. */
export function OpenChoice(given: QItemOverrideComponentProps) {
  const { qItem: item, qrItem, onQrItemChange } = given;
  const list = useId();
  const { codings } = useValueSetCodings(item);
  const offered = options(item, codings.map((valueCoding) => ({ valueCoding })));
  const stored = answersOf(qrItem)[0];
  const [typed, setTyped] = useState(stored ? words(stored) : '');

  function commit(text: string): void {
    const option = offered.find((each) => words(each).toLowerCase() === text.trim().toLowerCase());
    if (option) {
      onQrItemChange(response(item, [withId(bare(option))]));
    } else {
      onQrItemChange(response(item, text.trim() ? [withId({ valueString: text.trim() })] : []));
    }
  }

  // In a list each answer is known by its id, which must stay.
  function withId(answer: QuestionnaireResponseItemAnswer): QuestionnaireResponseItemAnswer {
    const one = Array.isArray(qrItem) ? qrItem[0] : qrItem;
    const id = one?.answer?.[0]?.id;
    return given.isRepeated && id ? { ...answer, id } : answer;
  }

  return (
    <Field
      item={item}
      parentIsReadOnly={given.parentIsReadOnly}
      feedback={given.feedbackFromParent}
      isBare={given.isRepeated}>
      {({ id, describedBy, isInvalid, isReadOnly }) => (
        <>
          <input
            id={id}
            className="input"
            list={list}
            value={typed}
            readOnly={isReadOnly}
            autoComplete="off"
            aria-describedby={describedBy}
            aria-invalid={isInvalid}
            aria-label={given.isRepeated ? item.text : undefined}
            onChange={(event) => {
              setTyped(event.target.value);
              if (offered.some((each) => words(each) === event.target.value)) {
                commit(event.target.value);
              }
            }}
            onBlur={() => commit(typed)}
          />
          <datalist id={list}>
            {offered.map((option) => (
              <option key={keyOf(option)} value={words(option)} />
            ))}
          </datalist>
        </>
      )}
    </Field>
  );
}
