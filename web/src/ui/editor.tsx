/** The editor for YAML and JSON. It is read only where somebody edits; its styles carry the page's nonce. */
import { json } from '@codemirror/lang-json';
import { yaml } from '@codemirror/lang-yaml';
import { EditorState, StateEffect, StateField } from '@codemirror/state';
import { Decoration, EditorView } from '@codemirror/view';
import { basicSetup } from 'codemirror';
import { useEffect, useRef } from 'react';

const nonce = document.querySelector<HTMLMetaElement>('meta[property="csp-nonce"]')?.nonce ?? '';
const marked = StateEffect.define<number | null>();
const marks = StateField.define({
  create: () => Decoration.none,
  update: (before, transaction) => {
    for (const effect of transaction.effects) {
      if (!effect.is(marked)) continue;
      if (effect.value === null || effect.value < 1 || effect.value > transaction.state.doc.lines) return Decoration.none;
      return Decoration.set([Decoration.line({ class: 'cm-mistake' }).range(transaction.state.doc.line(effect.value).from)]);
    }
    return before.map(transaction.changes);
  },
  provide: (field) => EditorView.decorations.from(field),
});

export default function Editor({ value, language, label, onChange, mistake }: { value: string; language: 'yaml' | 'json'; label: string; onChange: (value: string) => void; mistake?: number | null }) {
  const place = useRef<HTMLDivElement>(null);
  const view = useRef<EditorView>(null);
  const changed = useRef(onChange);
  changed.current = onChange;
  useEffect(() => {
    if (!place.current) return;
    const editor = new EditorView({
      parent: place.current,
      state: EditorState.create({ doc: value, extensions: [basicSetup, language === 'yaml' ? yaml() : json(), marks, EditorView.cspNonce.of(nonce), EditorView.contentAttributes.of({ 'aria-label': label }), EditorView.updateListener.of((update) => { if (update.docChanged) changed.current(update.state.doc.toString()); })] }),
    });
    view.current = editor;
    return () => editor.destroy();
  }, [language, label]); // the text is the editor's own from then on
  useEffect(() => { view.current?.dispatch({ effects: marked.of(mistake ?? null) }); }, [mistake]);
  return <div className="editor" ref={place} />;
}
