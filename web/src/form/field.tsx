import { useReadOnly, useValidationFeedback } from '@aehrc/smart-forms-renderer';
import type { QuestionnaireItem } from 'fhir/r4';
import { type ReactNode, useContext, useId } from 'react';
import './form.css';
import { Calculated, Marked, Words } from './marks';

const REQUIRED = 'This field is required.';

interface Parts {
  /** Id for the control, where it is one. */
  id: string;
  /** Ids of what describes the control. */
  describedBy: string | undefined;
  isInvalid: boolean;
  isReadOnly: boolean;
}

interface Given {
  item: QuestionnaireItem;
  parentIsReadOnly?: boolean;
  feedback?: string;
  /** Whether several controls answer it: it is then a group with a legend. */
  isGroup?: boolean;
  /** Whether it stands in a list that has the label already. */
  isBare?: boolean;
  children: (parts: Parts) => ReactNode;
}

/** An item's label, hint, source and complaint around its control. */
export function Field(given: Given) {
  const { item, isGroup } = given;
  const id = useId();
  const marks = useContext(Marked);
  const words = useContext(Words);
  const isCalculated = useContext(Calculated).has(item.linkId);
  const complaint = useValidationFeedback(item, undefined);
  const isReadOnly = useReadOnly(item, given.parentIsReadOnly);
  const said = given.feedback || (complaint === REQUIRED ? words.required : complaint);
  const marked = marks.carriedOver.has(item.linkId)
    ? 'From your earlier note'
    : marks.fromRecord.has(item.linkId)
      ? 'From the record'
      : null;
  const parts: Parts = {
    id,
    describedBy: [said && `${id}-said`, marked && `${id}-marked`].filter(Boolean).join(' ') || undefined,
    isInvalid: Boolean(said),
    isReadOnly
  };
  const label = (
    <>
      {item.prefix ? `${item.prefix} ` : ''}
      {item.text}
      {item.required || item.readOnly ? null : <span className="optional"> {words.optional}</span>}
    </>
  );
  const body = (
    <div className="field-body">
      {said ? (
        <p className="complaint" id={`${id}-said`}>
          <span className="hidden">{words.error} </span>
          {said}
        </p>
      ) : null}
      {given.children(parts)}
      {marked ? (
        <span
          className={marks.carriedOver.has(item.linkId) ? 'mark mark-carried' : 'mark'}
          id={`${id}-marked`}>
          {marked}
        </span>
      ) : isCalculated ? (
        <span className="mark">{words.calculated}</span>
      ) : null}
    </div>
  );
  if (given.isBare) {
    return body;
  }
  const look = said ? 'field field-wrong' : 'field';
  if (isGroup) {
    return (
      <fieldset className={look} data-linkid={item.linkId} aria-describedby={parts.describedBy}>
        <legend className="field-label">{label}</legend>
        {body}
      </fieldset>
    );
  }
  return (
    <div className={look} data-linkid={item.linkId}>
      <label className="field-label" htmlFor={id}>
        {label}
      </label>
      {body}
    </div>
  );
}
