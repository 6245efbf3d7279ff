import type { QItemOverrideComponentProps } from '@aehrc/smart-forms-renderer';
import type { QuestionnaireItem, QuestionnaireResponseItemAnswer } from 'fhir/r4';
import { useEffect, useRef, useState } from 'react';
import { unit } from './answers';
import { Field } from './field';

/** Milliseconds without a key after which what is typed becomes the answer; leaving the field does at once. */
const PAUSE = 400;

interface Kind {
  /** Read what was typed; a sentence where it is no answer of the kind; null for nothing. */
  read: (text: string, item: QuestionnaireItem) => QuestionnaireResponseItemAnswer | string | null;
  write: (answer: QuestionnaireResponseItemAnswer) => string;
  mode?: 'numeric' | 'decimal';
  hint?: string;
  className: string;
}

const WHOLE = /^[+-]?\d{1,9}$/;
const NUMBER = /^[+-]?\d{1,12}([.,]\d{1,8})?$/;
const DATE = /^(\d{1,2})[./-](\d{1,2})[./-](\d{4})$/;
const MOMENT = /^(\d{1,2}[./-]\d{1,2}[./-]\d{4})[ ,]+(\d{1,2}):(\d{2})$/;

const text: Kind = {
  read: (given) => (given.trim() ? { valueString: given.trim() } : null),
  write: (answer) => answer.valueString ?? '',
  className: 'input'
};

const integer: Kind = {
  read: (given) => {
    const trimmed = given.trim();
    if (!trimmed) {
      return null;
    }
    return WHOLE.test(trimmed) ? { valueInteger: Number(trimmed) } : 'Enter a whole number, as 12.';
  },
  write: (answer) => String(answer.valueInteger ?? ''),
  mode: 'numeric',
  className: 'input input-number'
};

const decimal: Kind = {
  read: (given) => {
    const trimmed = given.trim();
    if (!trimmed) {
      return null;
    }
    return NUMBER.test(trimmed)
      ? { valueDecimal: Number(trimmed.replace(',', '.')) }
      : 'Enter a number, as 2.5.';
  },
  write: (answer) => String(answer.valueDecimal ?? ''),
  mode: 'decimal',
  className: 'input input-number'
};

function isoDate(given: string): string | null {
  const found = DATE.exec(given);
  if (!found) {
    return null;
  }
  const [day, month, year] = [Number(found[1]), Number(found[2]), Number(found[3])];
  const made = new Date(Date.UTC(year, month - 1, day));
  const isReal = made.getUTCDate() === day && made.getUTCMonth() === month - 1;
  return isReal ? made.toISOString().slice(0, 10) : null;
}

function ukDate(given: string): string {
  const [year, month, day] = given.slice(0, 10).split('-');
  return day ? `${day}/${month}/${year}` : given;
}

const date: Kind = {
  read: (given) => {
    const trimmed = given.trim();
    if (!trimmed) {
      return null;
    }
    const valueDate = isoDate(trimmed);
    return valueDate ? { valueDate } : 'Enter a date as day/month/year: 27/11/2026.';
  },
  write: (answer) => (answer.valueDate ? ukDate(answer.valueDate) : ''),
  mode: 'numeric',
  hint: 'dd/mm/yyyy',
  className: 'input input-moment'
};

function offset(moment: Date): string {
  const minutes = -moment.getTimezoneOffset();
  const [hours, rest] = [Math.floor(Math.abs(minutes) / 60), Math.abs(minutes) % 60];
  const two = (number: number) => String(number).padStart(2, '0');
  return `${minutes < 0 ? '-' : '+'}${two(hours)}:${two(rest)}`;
}

const dateTime: Kind = {
  read: (given) => {
    const trimmed = given.trim();
    if (!trimmed) {
      return null;
    }
    const found = MOMENT.exec(trimmed);
    const day = found ? isoDate(found[1] ?? '') : null;
    const [hour, minute] = [Number(found?.[2]), Number(found?.[3])];
    if (!day || !(hour < 24) || !(minute < 60)) {
      return 'Enter date and time as day/month/year hour:minutes: 27/11/2026 14:05.';
    }
    const time = `${String(hour).padStart(2, '0')}:${found?.[3]}:00`;
    return { valueDateTime: `${day}T${time}${offset(new Date(`${day}T${time}`))}` };
  },
  write: (answer) => {
    const given = answer.valueDateTime ?? '';
    if (given.length <= 10) {
      return given ? ukDate(given) : '';
    }
    const moment = new Date(given);
    const local = new Date(moment.getTime() - moment.getTimezoneOffset() * 60_000).toISOString();
    return `${ukDate(local)} ${local.slice(11, 16)}`;
  },
  hint: 'dd/mm/yyyy hh:mm',
  className: 'input input-moment'
};

const kinds: Partial<Record<QuestionnaireItem['type'], Kind>> = {
  string: text,
  text,
  integer,
  decimal,
  date,
  dateTime
};

/** Tell whether items of a type are answered in writing. */
export function isWritten(type: QuestionnaireItem['type']): boolean {
  return type in kinds;
}

/** What is answered in writing: words, numbers, dates as they are written in the United Kingdom. */
export function Written(given: QItemOverrideComponentProps) {
  const { qItem: item, qrItem, isRepeated } = given;
  const kind = kinds[item.type] ?? text;
  const one = Array.isArray(qrItem) ? qrItem[0] : qrItem;
  const answer = one?.answer?.[0];
  const stored = answer ? kind.write(answer) : '';
  const [typed, setTyped] = useState(stored);
  const [complaint, setComplaint] = useState('');
  const timer = useRef<number | undefined>(undefined);
  const isDirty = useRef(false);
  // The newest callback, for it holds the newest answers of the group: an older one would undo them.
  const change = useRef(given.onQrItemChange);
  change.current = given.onQrItemChange;
  const latest = useRef(typed);

  useEffect(() => {
    if (!isDirty.current) {
      setTyped(stored);
      latest.current = stored;
    }
  }, [stored]);

  function commit(complains: boolean): void {
    window.clearTimeout(timer.current);
    if (!isDirty.current) {
      return;
    }
    const found = kind.read(latest.current, item);
    const made = { linkId: item.linkId, text: item.text };
    if (typeof found === 'string') {
      setComplaint(complains ? found : '');
      if (complains) {
        change.current(made); // what stood there before is not the answer any more
      }
      return;
    }
    isDirty.current = false;
    setComplaint('');
    const id = isRepeated ? answer?.id : undefined;
    change.current(found ? { ...made, answer: [id ? { ...found, id } : found] } : made);
  }

  const props = {
    value: typed,
    autoComplete: 'off',
    spellCheck: item.type === 'text',
    'aria-label': isRepeated ? item.text : undefined,
    onChange: (event: { target: { value: string } }) => {
      setTyped(event.target.value);
      latest.current = event.target.value;
      isDirty.current = true;
      window.clearTimeout(timer.current);
      timer.current = window.setTimeout(() => commit(false), PAUSE);
    },
    onBlur: () => commit(true)
  };
  const counted = unit(item);
  return (
    <Field
      item={item}
      parentIsReadOnly={given.parentIsReadOnly}
      feedback={complaint || given.feedbackFromParent}
      isBare={isRepeated}>
      {({ id, describedBy, isInvalid, isReadOnly }) => {
        const shared = {
          ...props,
          id,
          readOnly: isReadOnly,
          'aria-describedby': describedBy,
          'aria-invalid': isInvalid
        };
        if (item.type === 'text') {
          const lines = Math.min(8, Math.max(2, Math.ceil(typed.length / 80)));
          return <textarea {...shared} className="input" rows={lines} maxLength={item.maxLength} />;
        }
        return (
          <span className="with-unit">
            <input
              {...shared}
              className={kind.className}
              inputMode={kind.mode}
              placeholder={kind.hint}
              maxLength={item.maxLength}
            />
            {counted ? <span aria-hidden="true">{counted}</span> : null}
          </span>
        );
      }}
    </Field>
  );
}
