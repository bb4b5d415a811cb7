// A real `streamspace dev` for tests and pictures: its own folder, its own port, started, killed and started again.
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../..', import.meta.url));

/** A port that nobody has at this moment. */
const freePort = () => new Promise((resolve, reject) => {
  const server = net.createServer().once('error', reject).listen(0, '127.0.0.1', () => {
    const { port } = server.address();
    server.close(() => resolve(port));
  });
});

export async function until(what, check, ms = 20_000) {
  const deadline = Date.now() + ms;
  let last;
  for (;;) {
    try {
      const found = await check();
      if (found) return found;
    } catch (error) {
      last = error;
    }
    if (Date.now() > deadline) throw new Error(`not within ${ms} ms: ${what}${last ? ` (${last.message})` : ''}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

export class Server {
  static async start(environment = {}) {
    const server = new Server();
    server.folder = mkdtempSync(path.join(os.tmpdir(), 'streamspace-web.'));
    server.port = await freePort();
    server.environment = environment;
    await server.up();
    return server;
  }

  get data() { return path.join(this.folder, 'data'); }
  get url() { return `http://localhost:${this.port}/`; }

  async up() {
    const binary = process.env.STREAMSPACE_BINARY ?? path.join(root, 'target/debug/streamspace');
    const environment = { ...process.env, ...this.environment, RUST_LOG: 'warn', NO_COLOR: '1' };
    delete environment.DATABASE_URL;
    delete environment.NATS_URL;
    this.out = '';
    this.binary = binary;
    this.process = spawn(binary, ['dev', '--data-dir', this.data, '--http-addr', `127.0.0.1:${this.port}`, '--nats-server', path.join(root, '.tools/nats-server')], { env: environment, cwd: this.folder, stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [this.process.stdout, this.process.stderr]) stream.on('data', (text) => { this.out += text; });
    this.gone = new Promise((resolve) => this.process.once('exit', resolve));
    await until(`streamspace dev runs: ${this.out}`, () => {
      if (this.process.exitCode !== null) throw new Error(`it ended: ${this.out}`);
      return this.out.includes('is running');
    }, 60_000);
    this.endpoints = JSON.parse(readFileSync(path.join(this.data, 'endpoints.json'), 'utf8'));
    this.link = /http:\/\/localhost:\d+\/#login=\S+/.exec(this.out)[0];
  }

  /** Ends it as `kill -9` does. */
  async kill() {
    this.process.kill('SIGKILL');
    await this.gone;
  }

  async stop() {
    if (this.process.exitCode === null && this.process.signalCode === null) {
      for (const session of (await this.api('GET', 'sessions?limit=200').catch(() => ({ items: [] }))).items) await this.api('DELETE', `sessions/${session.session_id}?force=true`).catch(() => {});
      await until('sessions are gone', async () => (await this.api('GET', 'sessions?limit=1')).items.length === 0, 20_000).catch(() => {});
      this.process.kill('SIGINT');
      await Promise.race([this.gone, new Promise((resolve) => setTimeout(resolve, 20_000))]);
    }
    if (this.process.exitCode === null && this.process.signalCode === null) await this.kill();
    if (existsSync(this.folder)) rmSync(this.folder, { recursive: true, force: true });
  }

  async api(method, what, body, type = 'application/json') {
    const response = await fetch(`http://127.0.0.1:${this.port}/api/v1/${what}`, { method, headers: { authorization: `Bearer ${this.endpoints.admin_token}`, ...(body === undefined ? {} : { 'content-type': type }) }, ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }) });
    if (!response.ok) throw new Error(`${method} ${what}: ${response.status} ${await response.text()}`);
    return response.status === 204 ? null : response.json();
  }

  /** Says something on NATS, as a controller would. */
  publish(subject, payload) {
    const { nats, nats_user: user, nats_password: pass } = this.endpoints;
    const { hostname, port } = new URL(nats);
    return new Promise((resolve, reject) => {
      const socket = net.connect(Number(port), hostname);
      socket.once('error', reject);
      socket.on('data', (data) => {
        if (String(data).startsWith('INFO')) socket.write(`CONNECT ${JSON.stringify({ verbose: false, user, pass, lang: 'test', version: '1' })}\r\nPUB ${subject} ${Buffer.byteLength(payload)}\r\n${payload}\r\nPING\r\n`);
        else if (String(data).includes('PONG')) { socket.end(); resolve(); }
        else if (String(data).includes('-ERR')) { socket.end(); reject(new Error(String(data))); }
      });
    });
  }

  /** Makes a platform known whose only controller takes no work, so that sessions for it wait. */
  async announce(platform) {
    const id = `${platform}-1`;
    const beat = { controller_id: id, platform, timestamp: new Date().toISOString(), status: 'unhealthy', capabilities: ['sessions'] };
    await until(`controller ${id} is known`, async () => {
      await this.publish('streamspace.controller.heartbeat', JSON.stringify(beat));
      return this.api('GET', `controllers/${id}`);
    });
  }
}

/**
 * With UI_FROM_DISK, pages of a context come from `web/dist` as it is now instead of from the binary, which has the build that it was
 * compiled with: for work on the UI without compiling. The server's own page gives the nonce and the base path.
 */
export async function fromDisk(context) {
  if (!process.env.UI_FROM_DISK) return;
  const dist = path.join(root, 'web/dist');
  await context.route((url) => /\/assets\/[^/]+$/.test(url.pathname), (route) => route.fulfill({ path: path.join(dist, 'assets', path.basename(new URL(route.request().url()).pathname)) }));
  await context.route('**/*', async (route) => {
    if (route.request().resourceType() !== 'document') return route.fallback();
    const response = await route.fetch();
    const served = await response.text();
    const [nonce, base] = [/nonce="([^"]+)"/.exec(served)?.[1], /<base href="([^"]+)"/.exec(served)?.[1]];
    if (!nonce || !base) return route.fulfill({ response });
    const html = readFileSync(path.join(dist, 'index.html'), 'utf8').replaceAll('__NONCE__', nonce).replaceAll('__BASE__', base);
    return route.fulfill({ response, body: html });
  });
}

export const LAUNCH = {
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
};

/** A template for each name, all of which serve their home. */
export const catalog = (entries) => entries.map(([name, displayName, category, description]) => `apiVersion: stream.space/v1alpha1
kind: Template
metadata:
  name: ${name}
spec:
  displayName: ${displayName}
  description: ${description}
  category: ${category}
  baseImage: registry.example/${name}:1
  tags: [${name}, demo]
  local:
    command: [python3, -m, http.server, "\${PORT}", --bind, 127.0.0.1, --directory, "\${HOME}"]
    readiness: { path: /, timeout: 20s }
`).join('---\n');
