/** Server-Sent Events, as the standard says: bytes come in, whole messages go out. */
export interface Message {
  event: string;
  id: string | undefined;
  data: string;
}

export class Parser {
  private rest = '';
  private event = '';
  private id: string | undefined;
  private data: string[] = [];

  /** Takes a piece of the stream, and gives the messages that it completes. One without data only moves the id. */
  push(piece: string): Message[] {
    const lines = (this.rest + piece).split(/\r\n|\n|\r(?!$)/);
    this.rest = lines.pop() ?? '';
    const done: Message[] = [];
    for (const line of lines) {
      if (line === '') {
        if (this.data.length > 0 || this.id !== undefined) done.push({ event: this.event || 'message', id: this.id, data: this.data.join('\n') });
        this.event = '';
        this.id = undefined;
        this.data = [];
      } else {
        this.field(line);
      }
    }
    return done;
  }

  private field(line: string): void {
    const colon = line.indexOf(':');
    if (colon === 0) return; // a comment: a sign of life
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (name === 'data') this.data.push(value);
    else if (name === 'id') this.id = value;
    else if (name === 'event') this.event = value;
  }
}
