import { createContext } from 'react';

/** Where an answer came from, when the reader did not give it: linkIds. */
export interface Marks {
  fromRecord: ReadonlySet<string>;
  carriedOver: ReadonlySet<string>;
}

export const Marked = createContext<Marks>({ fromRecord: new Set(), carriedOver: new Set() });

/** The linkIds whose answer the form has calculated. */
export const Calculated = createContext<ReadonlySet<string>>(new Set());

/** What a form itself says around its questions. */
export interface Said {
  optional: string;
  required: string;
  error: string;
  choose: string;
  calculated: string;
  clear: string;
}

export const Words = createContext<Said>({
  optional: '(optional)',
  required: 'Answer this question.',
  error: 'Error:',
  choose: 'Choose',
  calculated: 'Calculated',
  clear: 'Clear'
});
