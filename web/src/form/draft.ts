import type { QuestionnaireResponse } from 'fhir/r4';
import { Refused, type Stored } from '../fhir/client';

/** Where a draft is kept; what has no id is put there for the first time. */
export interface Shelf {
  put: (response: QuestionnaireResponse, etag: string) => Promise<Stored<QuestionnaireResponse>>;
  /** Return the version that is kept now. */
  current: (id: string) => Promise<Stored<QuestionnaireResponse>>;
}

/** How a draft stands: kept on the server, on its way, or held back. */
export type State =
  | { kind: 'saved'; at: Date | null }
  | { kind: 'changed' }
  | { kind: 'saving' }
  | { kind: 'offline'; next: number }
  | { kind: 'refused'; sentences: string[] }
  | { kind: 'ended' }
  | { kind: 'conflict'; mine: QuestionnaireResponse; theirs: Stored<QuestionnaireResponse> };

const PAUSE = 2_000;
const LONGEST = 30_000;
const GONE = 401;
const STALE = new Set([409, 412]);

/**
 * A draft that is stored on the server as it is written: two seconds after a change, one save at a time,
 * the newest answers next. Where the network is gone it is tried again, and nothing is kept on the machine
 * but in the memory of the page.
 */
export class Draft {
  private pending: QuestionnaireResponse | null = null;
  private inFlight: Promise<void> | null = null;
  private timer: number | undefined;
  private delay = 1_000;
  private listeners = new Set<() => void>();
  state: State = { kind: 'saved', at: null };

  /** What was never stored has no id, and is stored at once. */
  constructor(
    private stored: Stored<QuestionnaireResponse>,
    private shelf: Shelf
  ) {
    window.addEventListener('online', this.soon);
    if (!stored.resource.id) {
      this.pending = stored.resource;
      void this.save();
    }
  }

  /** The response as it was last stored or given, its root elements with it. */
  get response(): QuestionnaireResponse {
    return this.pending ?? this.stored.resource;
  }

  get id(): string {
    return this.stored.resource.id ?? '';
  }

  get etag(): string {
    return this.stored.etag;
  }

  /** Whether the server has everything that was written. */
  get isKept(): boolean {
    return this.pending === null && this.inFlight === null;
  }

  subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  snapshot = (): State => this.state;

  private tell(state: State): void {
    this.state = state;
    for (const each of this.listeners) {
      each();
    }
  }

  /** Take new answers; what a form leaves out at the root stays as it is. */
  change(item: QuestionnaireResponse['item'], root: Partial<QuestionnaireResponse> = {}): void {
    this.pending = { ...this.response, ...root, item };
    if (this.state.kind === 'conflict' || this.state.kind === 'ended') {
      return;
    }
    if (this.state.kind !== 'offline') {
      this.tell({ kind: 'changed' });
      this.later(PAUSE);
    }
  }

  private later(milliseconds: number): void {
    window.clearTimeout(this.timer);
    this.timer = window.setTimeout(() => void this.save(), milliseconds);
  }

  private soon = (): void => {
    if (this.state.kind === 'offline') {
      this.later(0);
    }
  };

  /** Store what is pending now; resolves when it was tried. */
  async save(): Promise<void> {
    window.clearTimeout(this.timer);
    while (this.inFlight) {
      await this.inFlight;
    }
    if (!this.pending || this.state.kind === 'conflict') {
      return;
    }
    const sent = this.pending;
    this.inFlight = this.put(sent);
    await this.inFlight;
    this.inFlight = null;
    if (this.state.kind === 'saved' && this.pending) {
      this.tell({ kind: 'changed' });
      this.later(PAUSE);
    }
  }

  private async put(sent: QuestionnaireResponse): Promise<void> {
    this.tell({ kind: 'saving' });
    try {
      this.stored = await this.shelf.put(sent, this.stored.etag);
      this.delay = 1_000;
      if (this.pending === sent) {
        this.pending = null;
      } else if (this.pending) {
        const { id, meta } = this.stored.resource;
        this.pending = { ...this.pending, id, meta };
      }
      this.tell({ kind: 'saved', at: new Date() });
    } catch (refusal) {
      await this.failed(refusal, sent);
    }
  }

  private async failed(refusal: unknown, sent: QuestionnaireResponse): Promise<void> {
    const status = refusal instanceof Refused ? refusal.status : 0;
    if (STALE.has(status)) {
      const theirs = await this.shelf.current(this.id).catch(() => null);
      if (theirs && theirs.etag !== this.stored.etag) {
        this.tell({ kind: 'conflict', mine: this.pending ?? sent, theirs });
        return;
      }
    }
    if (status === GONE) {
      this.tell({ kind: 'ended' });
    } else if (status === 0 || status >= 500 || status === 429) {
      this.tell({ kind: 'offline', next: this.delay });
      this.later(this.delay);
      this.delay = Math.min(this.delay * 2, LONGEST);
    } else {
      const sentences = refusal instanceof Refused ? refusal.sentences : [String(refusal)];
      this.tell({ kind: 'refused', sentences });
    }
  }

  /** Go on from the version that was found, with the answers that were chosen. */
  async settle(
    theirs: Stored<QuestionnaireResponse>,
    item: QuestionnaireResponse['item']
  ): Promise<void> {
    this.stored = theirs;
    this.pending = { ...theirs.resource, item };
    this.tell({ kind: 'changed' });
    await this.save();
  }

  /** Leave it: it is signed, or the page closes. */
  end(): void {
    window.clearTimeout(this.timer);
    window.removeEventListener('online', this.soon);
    this.pending = null;
  }
}
