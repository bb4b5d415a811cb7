/** Things to do soon, once, however often they are asked for: one run at most each `every` ms for each name. */
export class Soon {
  private readonly due = new Map<string, ReturnType<typeof setTimeout>>();
  private readonly last = new Map<string, number>();

  constructor(private readonly every: number, private readonly now: () => number = () => Date.now()) {}

  ask(name: string, run: () => void): void {
    if (this.due.has(name)) return;
    const wait = Math.max(0, (this.last.get(name) ?? -Infinity) + this.every - this.now());
    this.due.set(name, setTimeout(() => {
      this.due.delete(name);
      this.last.set(name, this.now());
      run();
    }, wait));
  }
}
