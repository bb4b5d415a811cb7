/** The generated client on this server, with the login's cookie, and refusals as one kind of error. */
import { client } from './generated/client.gen.ts';
import type { Mistake } from './generated/types.gen.ts';

/** The path that the UI is served under, with a slash at its end. */
export const base: string = typeof document === 'undefined' ? '/' : new URL(document.baseURI).pathname;

/** Raised when the server says that nobody is logged in. */
export const loggedOut = new EventTarget();

client.setConfig({ baseUrl: `${base}api/v1`, credentials: 'same-origin' });
client.interceptors.response.use((response) => {
  if (response.status === 401) loggedOut.dispatchEvent(new Event('loggedOut'));
  return response;
});

/** What a request was refused with, or why there was no answer at all. */
export class Refusal extends Error {
  readonly kind: string;
  readonly title: string;
  readonly status: number;
  readonly mistakes: Mistake[];
  readonly requestId: string | undefined;
  readonly allowed: string[];

  constructor(from: { kind: string; title: string; status: number; detail: string; mistakes?: Mistake[]; requestId?: string; allowed?: string[] }) {
    super(from.detail);
    this.kind = from.kind;
    this.title = from.title;
    this.status = from.status;
    this.mistakes = from.mistakes ?? [];
    this.requestId = from.requestId;
    this.allowed = from.allowed ?? [];
  }
}

/** Reads problem+json; anything else becomes a refusal, too. */
export function refusal(error: unknown, response?: Response): Refusal {
  const requestId = response?.headers.get('x-request-id') ?? undefined;
  if (error instanceof Refusal) return error;
  if (typeof error === 'object' && error !== null && 'type' in error && 'title' in error) {
    const problem = error as { type: string; title: string; status: number; detail?: string; errors?: Mistake[]; instance?: string; allowed?: string[] };
    return new Refusal({
      kind: problem.type.replace(/^.*\/problems\//, ''),
      title: problem.title,
      status: problem.status,
      detail: problem.detail ?? '',
      mistakes: problem.errors,
      requestId: requestId ?? problem.instance?.replace('urn:uuid:', ''),
      allowed: problem.allowed ?? [],
    });
  }
  if (response && !response.ok) {
    return new Refusal({ kind: 'unknown', title: `${response.status} ${response.statusText}`, status: response.status, detail: typeof error === 'string' ? error : '', requestId });
  }
  const detail = error instanceof Error ? error.message : String(error);
  return new Refusal({ kind: 'unreachable', title: 'The server cannot be reached', status: 0, detail });
}

type Answer<T> = { data?: T; error?: unknown; response?: Response };

/** The data of an answer; a refusal is thrown. */
export async function ask<T>(answer: Promise<Answer<T>>): Promise<T> {
  let got: Answer<T>;
  try {
    got = await answer;
  } catch (error) {
    throw refusal(error);
  }
  if (got.error !== undefined || (got.response && !got.response.ok)) throw refusal(got.error, got.response);
  return got.data as T;
}

/** A key that lets a change be sent again without a second effect. */
export const once = (): { 'Idempotency-Key': string } => ({ 'Idempotency-Key': randomId() });

function randomId(): string {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}
