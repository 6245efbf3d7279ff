import type { State } from '../form/draft';

/** How the draft stands, in words that are read out when they change. */
export function Standing({ state }: { state: State }) {
  const look = state.kind === 'offline' || state.kind === 'refused' || state.kind === 'ended' ? 'standing standing-held' : 'standing';
  return (
    <p className={look} role="status" data-state={state.kind}>
      {sentence(state)}
    </p>
  );
}

function sentence(state: State): string {
  switch (state.kind) {
    case 'saved':
      return state.at ? `Draft saved ${state.at.toTimeString().slice(0, 5)}` : 'Draft saved';
    case 'changed':
    case 'saving':
      return 'Saving';
    case 'offline':
      return 'No connection. Go on: your answers are kept in this window and saved when it is back.';
    case 'refused':
      return `Not saved: ${state.sentences.join(' ')}`;
    case 'ended':
      return 'The session has ended. Leave this window open, and open the note again from the child’s record: what was saved is kept.';
    case 'conflict':
      return 'Changed elsewhere';
  }
}
