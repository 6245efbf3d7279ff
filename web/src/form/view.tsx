import {
  BaseRenderer,
  buildForm,
  getResponse,
  questionnaireResponseStore,
  questionnaireStore,
  type RendererConfig,
  removeEmptyAnswersFromResponse,
  useRendererQueryClient
} from '@aehrc/smart-forms-renderer';
import { ThemeProvider } from '@mui/material/styles';
import { QueryClientProvider } from '@tanstack/react-query';
import type { Questionnaire, QuestionnaireResponse } from 'fhir/r4';
import { useEffect, useMemo, useRef, useState } from 'react';
import { BASE } from '../fhir/client';
import { Calculations } from './calculated';
import { controls } from './controls';
import { Calculated } from './marks';
import { theme } from './theme';

const CONFIG: RendererConfig = {
  hideQuestionnaireTitle: true,
  readOnlyVisualStyle: 'readonly',
  requiredIndicatorPosition: 'end',
  disablePageButtons: true,
  disablePageCardView: true,
  disableHeadingFocusOnTabSwitch: true,
  hideClearButton: true,
  itemResponsive: {
    labelBreakpoints: { xs: 12, md: 3 },
    fieldBreakpoints: { xs: 12, md: 9 },
    columnGapPixels: 16,
    rowGapPixels: 2
  }
};

interface Given {
  form: Questionnaire;
  /** The answers to begin with: another response builds the form anew. */
  response: QuestionnaireResponse;
  onAnswers: (item: QuestionnaireResponse['item']) => void;
  onBuilt?: () => void;
}

/** A form and its answers; what is asked of a terminology server is asked of this registry. */
export function FormView({ form, response, onAnswers, onBuilt }: Given) {
  const [isBuilt, setBuilt] = useState(false);
  const queries = useRendererQueryClient();
  const look = useMemo(theme, []);
  const [calculated, setCalculated] = useState<ReadonlySet<string>>(new Set());
  const place = useRef<HTMLDivElement>(null);
  const tell = useRef({ onAnswers, onBuilt });
  tell.current = { onAnswers, onBuilt };

  useEffect(() => {
    let isGone = false;
    let last = '';
    setBuilt(false);
    const calculations = new Calculations(form);

    async function calculate(): Promise<void> {
      await calculations.run();
      const now = new Set(calculations.calculated);
      setCalculated((before) => (isSame(before, now) ? before : now));
    }

    const unsubscribe = questionnaireResponseStore.subscribe(() => {
      if (isGone || !last) {
        return;
      }
      const item = answered(form);
      const written = JSON.stringify(item);
      if (written !== last) {
        last = written;
        tell.current.onAnswers(item);
        window.setTimeout(() => void calculate());
      }
    });
    void buildForm({
      questionnaire: calculations.form,
      questionnaireResponse: response,
      terminologyServerUrl: BASE,
      rendererConfigOptions: CONFIG,
      qItemOverrideComponents: controls(form)
    }).then(async () => {
      if (isGone) {
        return;
      }
      last = JSON.stringify(answered(form));
      await calculate(); // before it is drawn, which is done once and not again for each answer
      if (!isGone) {
        setBuilt(true);
        tell.current.onBuilt?.();
      }
    });
    return () => {
      isGone = true;
      unsubscribe();
    };
  }, [form, response]);

  useEffect(() => {
    if (!isBuilt || !place.current) {
      return;
    }
    // The renderer wraps a button into another one, which a screen reader cannot tell apart.
    const mend = (): void => {
      for (const outer of place.current?.querySelectorAll('span[role="button"]:has(> button)') ?? []) {
        outer.removeAttribute('role');
        outer.removeAttribute('aria-label');
      }
    };
    mend();
    const watching = new MutationObserver(mend);
    watching.observe(place.current, { childList: true, subtree: true });
    return () => watching.disconnect();
  }, [isBuilt]);

  if (!isBuilt) {
    return (
      <p className="waiting" role="status">
        Loading the form
      </p>
    );
  }
  return (
    <ThemeProvider theme={look}>
      <QueryClientProvider client={queries}>
        <Calculated.Provider value={calculated}>
          <div ref={place}>
            <BaseRenderer />
          </div>
        </Calculated.Provider>
      </QueryClientProvider>
    </ThemeProvider>
  );
}

function isSame(one: ReadonlySet<string>, other: ReadonlySet<string>): boolean {
  return one.size === other.size && [...one].every((each) => other.has(each));
}

/** Return the items that are answered and enabled, without the renderer's own ids. */
export function answered(form: Questionnaire): QuestionnaireResponse['item'] {
  const built = questionnaireStore.getState().sourceQuestionnaire;
  return removeEmptyAnswersFromResponse(built.item ? built : form, getResponse()).item ?? [];
}
