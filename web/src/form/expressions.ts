import engine, { type Model } from 'fhirpath';

type Path = Parameters<typeof engine.compile>[0];
type Options = Record<string, unknown>;
type Evaluate = (data: unknown, context?: Record<string, unknown>) => unknown;

const MOST = 2_000;
const REUSABLE = new Set(['async', 'terminologyUrl']);
const parsed = new Map<Model | undefined, Map<string, Evaluate>>();

/** Return an expression that is ready to be evaluated: it is parsed once while the page is open. */
function ready(path: Path, model: Model | undefined, options: Options | undefined): Evaluate {
  const known = parsed.get(model) ?? new Map<string, Evaluate>();
  parsed.set(model, known);
  const key = JSON.stringify([path, options]);
  let found = known.get(key);
  if (!found) {
    found = engine.compile(path, model, options as never) as Evaluate;
    if (known.size >= MOST) {
      known.clear();
    }
    known.set(key, found);
  }
  return found;
}

/**
 * FHIRPath by its engine, each expression parsed once: the renderer evaluates all expressions of a form at
 * every answer, and most of that time is parsing. `vite.config.ts` gives this to the renderer as well.
 */
const fhirpath = {
  ...engine,
  evaluate(
    data: unknown,
    path: Path,
    context?: Record<string, unknown>,
    model?: Model,
    options?: Options
  ): unknown {
    return Object.keys(options ?? {}).every((name) => REUSABLE.has(name))
      ? ready(path, model, options)(data, context)
      : engine.evaluate(data, path, context, model, options as never);
  }
};

export default fhirpath;
