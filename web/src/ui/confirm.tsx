/** Dialogs. What destroys something lists it by name, focuses Cancel, and never acts on Enter alone. */
import { type ReactNode, useState } from 'react';
import { Dialog, Heading, Modal, ModalOverlay } from 'react-aria-components';
import { t } from '~/text/index.ts';
import { Button, Problem } from './kit.tsx';

export function Window({ title, open, onClose, wide, children }: { title: string; open: boolean; onClose: () => void; wide?: boolean; children: ReactNode }) {
  return (
    <ModalOverlay className="veil" isOpen={open} onOpenChange={(isOpen) => { if (!isOpen) onClose(); }} isDismissable>
      <Modal className={`modal ${wide ? 'wide' : ''}`}><Dialog><Heading slot="title" level={2}>{title}</Heading>{children}</Dialog></Modal>
    </ModalOverlay>
  );
}

export interface Question {
  title: string;
  text?: ReactNode;
  /** What it is about, by name. */
  names?: string[];
  act: string;
  danger?: boolean;
  /** Asks for a reason, and gives it on. */
  reason?: boolean;
  run: (reason: string) => Promise<unknown>;
}

export function Confirm({ question, onClose }: { question: Question | null; onClose: () => void }) {
  const [reason, setReason] = useState('');
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const close = () => {
    setReason('');
    setError(null);
    setBusy(false);
    onClose();
  };
  const run = async () => {
    setBusy(true);
    setError(null);
    try {
      await question?.run(reason.trim());
      close();
    } catch (problem) {
      setError(problem);
      setBusy(false);
    }
  };
  return (
    <Window title={question?.title ?? ''} open={question !== null} onClose={close}>
      {question && <>
        {question.text && <div className="soft small">{question.text}</div>}
        {question.names && <ul className="names">{question.names.map((name) => <li key={name}>{name}</li>)}</ul>}
        {question.reason && (
          <label className="field"><span>{t('confirm.reason')}</span>
            <input className="input" value={reason} maxLength={500} onChange={(event) => setReason(event.target.value)} />
            <span className="hint">{t('confirm.reason.hint')}</span>
          </label>
        )}
        {error !== null && <Problem error={error} />}
        <div className="end">
          <Button autoFocus={!question.reason} onPress={close}>{t('act.cancel')}</Button>
          <Button kind={question.danger ? 'danger' : 'primary'} solid isDisabled={busy || (question.reason && reason.trim() === '')} onPress={() => void run()}>{question.act}</Button>
        </div>
      </>}
    </Window>
  );
}
