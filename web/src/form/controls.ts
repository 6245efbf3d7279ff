import type { QItemOverrideComponentProps } from '@aehrc/smart-forms-renderer';
import type { Questionnaire } from 'fhir/r4';
import type { ComponentType } from 'react';
import { control, items } from './answers';
import { Choice, OpenChoice } from './choice';
import { Written, isWritten } from './written';

const LEFT_TO_RENDERER = new Set(['slider']);

/**
 * Return the page's own controls for a form, by linkId; every other item has the renderer's.
 *
 * They are the browser's own inputs, so that a keyboard and a screen reader find what they know; and
 * what is typed is never given to an older state of the form, which the renderer's delay can do.
 */
export function controls(
  form: Questionnaire
): Record<string, ComponentType<QItemOverrideComponentProps>> {
  const found: Record<string, ComponentType<QItemOverrideComponentProps>> = {};
  for (const { item } of items(form)) {
    if (LEFT_TO_RENDERER.has(control(item) ?? '')) {
      continue;
    }
    if (item.type === 'choice') {
      found[item.linkId] = Choice;
    } else if (item.type === 'open-choice') {
      found[item.linkId] = OpenChoice;
    } else if (isWritten(item.type)) {
      found[item.linkId] = Written;
    }
  }
  return found;
}
