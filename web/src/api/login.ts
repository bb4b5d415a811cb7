/** Who is logged in, and how to log in and out; see `api/src/login.rs`. */
import { base, refusal } from './http.ts';

export interface Who {
  name: string | null;
  role: string | null;
  version: string;
  /** Where to log in instead, where sessions share this host. */
  move_to: string | null;
}

async function session(method: string, body?: unknown): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(`${base}ui/session`, {
      method,
      credentials: 'same-origin',
      ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
    });
  } catch (error) {
    throw refusal(error);
  }
  if (!response.ok) throw refusal(await response.json().catch(() => undefined), response);
  return response;
}

export const whoAmI = async (): Promise<Who> => (await session('GET')).json() as Promise<Who>;
export const logIn = async (credentials: { code: string } | { token: string }): Promise<void> => void (await session('POST', credentials));
export const logOut = async (): Promise<void> => void (await session('DELETE'));

/** Takes the one-time code out of the fragment, so that neither the history nor a link that is copied has it. */
export function takeCode(): string | null {
  const code = new URLSearchParams(location.hash.slice(1)).get('login');
  if (code !== null) history.replaceState(history.state, '', location.pathname + location.search);
  return code;
}
