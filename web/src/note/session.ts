import type { Bundle } from 'fhir/r4';
import { Refused, get, proveWith } from '../fhir/client';

/** Somebody or something by reference, with words for people. */
export interface Named {
  reference: string;
  display: string;
}

/** On whose behalf, and about which child, the page works. */
export interface Session {
  user: Named;
  patient: Named & { birthDate?: string; nhsNumber?: string | null };
  encounter: { reference: string } | null;
  hospital: Named;
  csrf: string | null;
  form: string | null;
  response: string | null;
  data: Bundle | null;
  /** Whether the note also goes back to the hospital's system. */
  writeBack: boolean;
  /** What became of each document that this session has signed. */
  written?: Written[];
  /** Whether the page was opened from a hospital's system; otherwise it works as this machine. */
  launched: boolean;
}

/** What became of a signed document in the hospital's system; text says why it was refused. */
export interface Written {
  composition: string;
  status: 'waiting' | 'written' | 'refused';
  text?: string;
}

/** Return what became of a document in the hospital's system; undefined where it is not given back. */
export async function written(composition: string): Promise<Written | undefined> {
  const found = await get<Pick<Session, 'written'>>('/session');
  return found.written?.find((each) => each.composition === composition);
}

/** Return the session that a launch has opened; null where there is none. */
export async function launched(): Promise<Session | null> {
  try {
    const found = await get<Omit<Session, 'launched'>>('/session');
    proveWith(found.csrf);
    return { ...found, launched: true };
  } catch (refusal) {
    if (refusal instanceof Refused && (refusal.status === 401 || refusal.status === 404)) {
      return null;
    }
    throw refusal;
  }
}
