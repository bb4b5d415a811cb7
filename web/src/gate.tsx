/** Who may in: pages are shown to whoever is logged in, and the login to everybody else. */
import { queryOptions, useQuery, useQueryClient } from '@tanstack/react-query';
import { type ReactNode, useEffect, useState } from 'react';
import { loggedOut } from './api/http.ts';
import { logIn, whoAmI } from './api/login.ts';
import { feed } from './feed/shared.ts';
import { t } from './text/index.ts';
import { Button, Problem, useTitle } from './ui/kit.tsx';

export const who = queryOptions({ queryKey: ['who'], queryFn: whoAmI, staleTime: Infinity, gcTime: Infinity });

export function Gate({ code, children }: { code: string | null; children: ReactNode }) {
  const [given, setGiven] = useState(code);
  const queries = useQueryClient();
  const me = useQuery(who);
  const name = me.data?.name;
  useEffect(() => {
    const again = () => void queries.invalidateQueries({ queryKey: ['who'] });
    loggedOut.addEventListener('loggedOut', again);
    return () => loggedOut.removeEventListener('loggedOut', again);
  }, [queries]);
  useEffect(() => {
    if (!name) return;
    feed.start();
    return () => feed.end();
  }, [name]);
  if (me.data === undefined) {
    return <main className="alone">{me.error ? <Problem error={me.error} retry={() => void me.refetch()} /> : <span role="status" className="visually-hidden">{t('loading')}</span>}</main>;
  }
  if (name) return <>{children}</>;
  return <Login code={given} moveTo={me.data.move_to} onUsed={() => setGiven(null)} />;
}

function Login({ code, moveTo, onUsed }: { code: string | null; moveTo: string | null; onUsed: () => void }) {
  useTitle(t('login.title'));
  const queries = useQueryClient();
  const [token, setToken] = useState('');
  const [error, setError] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);
  const enter = async (credentials: { code: string } | { token: string }) => {
    setBusy(true);
    setError(null);
    try {
      await logIn(credentials);
      await queries.invalidateQueries({ queryKey: ['who'] });
    } catch (problem) {
      setError(problem);
      if ('code' in credentials) onUsed();
    }
    setBusy(false);
  };
  return (
    <main className="alone">
      <div className="card">
        <span className="brand"><img src="favicon.svg" alt="" />StreamSpace</span>
        {moveTo ? (
          <><h1>{t('login.move')}</h1><p className="soft small">{t('login.move.text')}</p><a className="btn primary" href={moveTo + (code ? `#login=${code}` : '')}>{t('login.move.go', { url: moveTo })}</a></>
        ) : code ? (
          <><h1>{t('login.code')}</h1><p className="soft small">{t('login.code.text')}</p><Button kind="primary" isDisabled={busy} onPress={() => void enter({ code })}>{t('login.enter')}</Button></>
        ) : (
          <form className="stack" onSubmit={(event) => { event.preventDefault(); void enter({ token }); }}>
            <h1>{t('login.title')}</h1>
            <p className="soft small">{t('login.token.text')}</p>
            <label className="field"><span>{t('login.token')}</span><input className="input" type="password" autoComplete="off" value={token} onChange={(event) => setToken(event.target.value)} /></label>
            <Button type="submit" kind="primary" isDisabled={busy || token === ''}>{t('login.enter')}</Button>
          </form>
        )}
        {error !== null && <Problem error={error} />}
      </div>
    </main>
  );
}
