import './design/fonts.css';
import './design/tokens.css';
import './design/base.css';
import { QueryClientProvider } from '@tanstack/react-query';
import { RouterProvider } from '@tanstack/react-router';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { takeCode } from './api/login.ts';
import { Gate } from './gate.tsx';
import { feed } from './feed/shared.ts';
import { refreshList } from './live/list.ts';
import { cache, take } from './live/queries.ts';
import { router } from './router.tsx';
import { apply } from './ui/theme.ts';

apply();
const code = takeCode();
feed.watch(take);
feed.onReset = () => {
  void cache.invalidateQueries({ predicate: (query) => query.queryKey[0] !== 'who' });
  refreshList();
};

const root = document.getElementById('root');
if (root) {
  createRoot(root).render(
    <StrictMode><QueryClientProvider client={cache}><Gate code={code}><RouterProvider router={router} /></Gate></QueryClientProvider></StrictMode>,
  );
}
