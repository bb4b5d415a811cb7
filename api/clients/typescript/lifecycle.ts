// A user's day through the generated TypeScript client, on a running server: STREAMSPACE_URL and STREAMSPACE_TOKEN.
import { strict as assert } from "node:assert";
import { randomBytes, randomUUID } from "node:crypto";
import { get } from "node:http";
import { setTimeout as pause } from "node:timers/promises";
import * as api from "./client";
import type { FeedItem, Problem, Session } from "./client";
import { client } from "./client/client.gen";

const server = process.env.STREAMSPACE_URL ?? "http://127.0.0.1:8080";
const token = process.env.STREAMSPACE_TOKEN ?? "";
client.setConfig({ baseUrl: `${server}/api/v1`, auth: token });

const NOBODY = { id: "0198f3c2-7a10-7b3e-9d51-2f6ac04e8b17" };
const MANIFEST = `apiVersion: stream.space/v1alpha1
kind: Template
metadata: { name: typescript-paint }
spec: { displayName: Paint, baseImage: "example/paint:1" }
`;

type Answer<T> = { data?: T; error?: unknown; response?: Response };

/** The answer's body; a refusal ends the program. */
function good<T>(answer: Answer<T>): T {
  assert.ok(answer.data !== undefined, `refused: ${answer.response?.status} ${JSON.stringify(answer.error)}`);
  return answer.data;
}

/** The body of an answer that has this status. */
function answered<T>(answer: Answer<T>, status: number): T {
  assert.equal(answer.response?.status, status, JSON.stringify(answer.data ?? answer.error));
  return good(answer);
}

/** The problem that a request was refused with. */
function refused(answer: { data?: unknown; error?: Problem; response?: Response }, status: number, type: string): Problem {
  assert.equal(answer.response?.status, status, JSON.stringify(answer.data ?? answer.error));
  assert.ok(answer.error);
  assert.equal(answer.error.status, status);
  assert.equal(answer.error.type, `/problems/${type}`);
  return answer.error;
}

/** Asks until the answer is as wished. */
async function until<T>(ask: () => Promise<Answer<T>>, wished: (value: T) => boolean): Promise<T> {
  for (const deadline = Date.now() + 60_000; ; await pause(100)) {
    const value = good(await ask());
    if (wished(value)) return value;
    assert.ok(Date.now() < deadline, `not within a minute: ${JSON.stringify(value)}`);
  }
}

const become = (path: { id: string }, status: string): Promise<Session> =>
  until(() => api.getSession({ path }), (session) => session.status === status);

async function sessions(): Promise<void> {
  const created = await api.createSession({
    body: { template_id: "scratchpad", platform: "local", persistent_home: true, idle_timeout: "30m", tags: ["typescript"], metadata: { of: "client" } },
    query: { wait: "running", timeout: "1m" },
  });
  const session = answered(created, 201);
  assert.ok(session.status === "running" && session.url && session.awake);
  const path = { id: session.session_id };
  const listed = good(await api.listSessions({ query: { tag: "typescript", status: "running", limit: 10, sort: "-created_at" } }));
  assert.deepEqual(listed.items.map((one) => one.session_id), [path.id]);
  assert.equal(listed.next_cursor, null);

  await amended(path);
  good(await api.touchSession({ path }));
  const pushed = answered(await api.extendSession({ path, body: { by: "30m" } }), 200);
  assert.ok(pushed.awake?.reasons.some((reason) => reason.kind === "extension"));
  answered(await api.hibernateSession({ path, query: { wait: "hibernated", timeout: "1m" } }), 200);
  answered(await api.wakeSession({ path, query: { wait: "running", timeout: "1m" } }), 200);
  await told(path);

  good(await api.deleteSession({ path }));
  await become(path, "deleted");
  const late = refused(await api.wakeSession({ path }), 409, "illegal-transition");
  assert.equal(late.state, "deleted");
}

/** Two people change one session: the second is told, reads again, and loses nothing. */
async function amended(path: { id: string }): Promise<void> {
  const tag = (await api.getSession({ path })).response?.headers.get("etag");
  assert.ok(tag);
  const seen = { "If-Match": tag };
  const changed = await api.patchSession({ path, headers: seen, body: { tags: ["typescript", "patched"], metadata: { seat: 12 } } });
  assert.deepEqual(answered(changed, 200).tags, ["typescript", "patched"]);
  refused(await api.patchSession({ path, headers: seen, body: { tags: [] } }), 412, "precondition-failed");
  refused(await api.hibernateSession({ path, headers: { "If-Match": '"1.999999"' } }), 412, "precondition-failed");
  const now = await api.getSession({ path });
  assert.deepEqual(good(now).tags, ["typescript", "patched"]);
  assert.equal(now.response?.headers.get("etag"), changed.response?.headers.get("etag"));
  const unchanged = await api.getSession({ path, headers: { "If-None-Match": now.response?.headers.get("etag") ?? "" } });
  assert.equal(unchanged.response?.status, 304);
}

/** What happened to the session, as rows of its log, of the log of everything, and of the live feed. */
async function told(path: { id: string }): Promise<void> {
  const entity = `session:${path.id}`;
  const own = good(await api.listSessionEvents({ path })).items;
  assert.ok(own.length > 3);
  const all = good(await api.listEvents({ query: { entity, kind: "command", limit: 200 } })).items;
  const commands = own.filter((event) => event.kind === "command").map((event) => event.event_id);
  assert.deepEqual(all.map((event) => event.event_id).sort(), commands.sort());

  const first = await watched({ entity, after: "0" }, 3);
  assert.deepEqual(first.map((item) => item.entity_seq), [1, 2, 3]);
  assert.ok(first.every((item) => item.entity === entity && item.id));
  assert.ok(commands.includes(first[0]?.event_id ?? ""));
  assert.deepEqual(await watched({ entity, after: first[0]?.id }, 2), first.slice(1));
  assert.deepEqual(await overSocket({ entity, after: first[0]?.id ?? "" }), first[1]);
}

/** The first items of the feed, which has no end: it is read and left. */
async function watched(query: { entity: string; after?: string }, count: number): Promise<FeedItem[]> {
  const items: FeedItem[] = [];
  const onSseEvent = (event: { event?: string }): void => assert.notEqual(event.event, "cut");
  const leave = new AbortController();
  const deadline = setTimeout(() => leave.abort(), 60_000);
  const { stream } = await api.stream({ query, onSseEvent, sseMaxRetryAttempts: 1, signal: leave.signal });
  for await (const item of stream) {
    items.push(item);
    if (items.length === count) break;
  }
  clearTimeout(deadline);
  leave.abort(); // or else the connection stays, and with it this process
  assert.equal(items.length, count, "the stream ended");
  return items;
}

/** The first item over a WebSocket, as a browser asks for it: its token is a protocol. Node 20 has none, so this reads the frame. */
function overSocket(query: Record<string, string>): Promise<FeedItem> {
  const protocol = `streamspace.v1, bearer.${Buffer.from(token).toString("base64url")}`;
  const headers = {
    ...{ Connection: "Upgrade", Upgrade: "websocket", "Sec-WebSocket-Version": "13" },
    ...{ "Sec-WebSocket-Key": randomBytes(16).toString("base64"), "Sec-WebSocket-Protocol": protocol },
  };
  return new Promise((resolve, reject) => {
    const asked = get(`${server}/api/v1/ws?${new URLSearchParams(query)}`, { headers, timeout: 60_000 });
    asked.on("error", reject).on("timeout", () => asked.destroy(new Error("nothing came over the WebSocket")));
    asked.on("response", (answer) => reject(new Error(`no WebSocket: ${answer.statusCode}`)));
    asked.on("upgrade", (answer, socket, head) => {
      assert.equal(answer.headers["sec-websocket-protocol"], "streamspace.v1");
      let bytes = head;
      const read = (more: Buffer): void => {
        bytes = Buffer.concat([bytes, more]);
        const text = firstText(bytes);
        if (text === undefined) return;
        socket.destroy();
        resolve(JSON.parse(text));
      };
      socket.on("data", read).on("error", reject);
      read(Buffer.alloc(0));
    });
  });
}

/** The text of the first frame (RFC 6455, 5.2: final, text, not masked, less than 64 KiB), once all of it is there. */
function firstText(bytes: Buffer): string | undefined {
  if (bytes.length < 4) return undefined;
  assert.equal(bytes[0], 0x81);
  const short = bytes.readUInt8(1);
  assert.ok(short <= 126);
  const [begin, length] = short === 126 ? [4, bytes.readUInt16BE(2)] : [2, short];
  return bytes.length < begin + length ? undefined : bytes.toString("utf8", begin, begin + length);
}

/** A request whose answer was lost is sent again: one session, the same answer. */
async function retried(): Promise<void> {
  const headers = { "Idempotency-Key": randomUUID() };
  const body = { template_id: "scratchpad", platform: "noop", tags: ["typescript-retried"] };
  const first = await api.createSession({ headers, body });
  const again = await api.createSession({ headers, body });
  assert.deepEqual(answered(again, 202), answered(first, 202));
  assert.equal(again.response?.headers.get("idempotent-replayed"), "true");
  refused(await api.createSession({ headers, body: { ...body, tags: [] } }), 422, "idempotency-key-reused");
  const listed = good(await api.listSessions({ query: { tag: "typescript-retried" } })).items;
  assert.equal(listed.length, 1);
  answered(await api.deleteSession({ path: { id: good(first).session_id }, query: { wait: "deleted" } }), 200);
}

/** A whole class goes home: one job deletes its sessions, and is watched to its end. */
async function inBulk(): Promise<void> {
  const body = { template_id: "scratchpad", platform: "noop", tags: ["typescript-class"] };
  const created = await Promise.all([1, 2, 3].map(() => api.createSession({ body, query: { wait: "running" } })));
  const ids = created.map((one) => answered(one, 201).session_id).sort();
  const filter = { tag: "typescript-class" };
  const pages = [];
  for (let cursor: string | undefined; ; ) {
    const page = good(await api.listSessions({ query: { ...filter, limit: 2, cursor } }));
    pages.push(page.items.map((session) => session.session_id));
    if (!page.next_cursor) break;
    cursor = page.next_cursor;
  }
  assert.deepEqual([pages.map((page) => page.length), pages.flat().sort()], [[2, 1], ids]);

  const refusal = refused(await api.bulkSessions({ body: { action: "delete", filter: {} } }), 422, "invalid-fields");
  assert.deepEqual(refusal.errors?.map((mistake) => mistake.field), ["filter"]);
  const job = answered(await api.bulkSessions({ body: { action: "delete", filter } }), 202);
  assert.equal(job.kind, "sessions.delete");
  const path = { id: job.job_id };
  const done = await until(() => api.getJob({ path }), (now) => now.status === "completed");
  assert.deepEqual([done.total, done.done, done.failed, done.skipped], [3, 3, 0, 0]);
  await Promise.all(ids.map((id) => become({ id }, "deleted")));
  assert.ok(good(await api.listJobs({ query: { status: "completed", kind: "sessions.delete" } })).items.some((one) => one.job_id === path.id));
  refused(await api.cancelJob({ path }), 409, "conflict");
}

/** An application is installed, used, and not taken away while it is used. */
async function applications(): Promise<void> {
  const wanted = { manifest: MANIFEST, platform: "noop" };
  const path = { id: good(await api.installApplication({ body: wanted })).install_id };
  const ready = await until(() => api.getApplication({ path }), (now) => now.install_status === "ready");
  assert.equal(ready.manifest, MANIFEST);
  assert.equal(answered(await api.installApplication({ body: wanted }), 200).install_id, path.id);
  const body = { template_id: ready.template_name, platform: "noop" };
  const session = answered(await api.createSession({ body, query: { wait: "running" } }), 201);
  const used = good(await api.listApplications({ query: { platform: "noop", template_name: ready.template_name } })).items;
  assert.deepEqual(used.map((one) => [one.install_id, one.in_use_by]), [[path.id, 1]]);
  refused(await api.uninstallApplication({ path }), 409, "in-use");
  answered(await api.deleteSession({ path: { id: session.session_id }, query: { wait: "deleted" } }), 200);
  good(await api.uninstallApplication({ path }));
  await until(() => api.getApplication({ path }), (now) => now.install_status === "uninstalled");
  assert.ok(good(await api.listApplicationEvents({ path })).items.length > 3);
}

async function refusals(): Promise<void> {
  const wrong = refused(await api.createSession({ body: { template_id: "no-such-template", idle_timeout: "soon" } }), 422, "invalid-fields");
  assert.deepEqual(wrong.errors?.map((mistake) => mistake.field).sort(), ["idle_timeout", "template_id"]);
  refused(await api.getSession({ path: NOBODY }), 404, "not-found");
  refused(await api.listSessions({ query: { limit: 0 } }), 400, "invalid-parameter");
  refused(await api.listSessions({ query: { cursor: "made-up" } }), 400, "invalid-parameter");
  refused(await api.listSessions({ auth: "a-wrong-token" }), 401, "unauthorized");
  refused(await api.watchSocket(), 426, "upgrade-required");
}

async function others(): Promise<void> {
  const template = good(await api.getTemplate({ path: { name: "scratchpad" } }));
  assert.ok(template.built_in && template.manifest);
  assert.ok(good(await api.listTemplates()).items.some((one) => one.name === "scratchpad"));
  const controller = good(await api.listControllers({ query: { platform: "local" } })).items[0];
  assert.ok(controller?.accepting);
  assert.equal(good(await api.getController({ path: { controller_id: controller.controller_id } })).platform, "local");
  assert.ok(good(await api.listPlatforms()).items.some((platform) => platform.platform === "local" && platform.accepting));
  const letters = await api.listDeadLetters({ query: { status: "open", subject: "streamspace.session.>", since: "2026-01-01T00:00:00Z" } });
  assert.deepEqual(good(letters).items, []);
  refused(await api.getDeadLetter({ path: NOBODY }), 404, "not-found");
  const replayed = answered(await api.bulkDeadLetters({ body: { filter: { platform: "noop" }, dry_run: true } }), 202);
  assert.ok(replayed.dry_run && replayed.kind === "dead_letters.replay");
}

async function main(): Promise<void> {
  for (const part of [others, refusals, sessions, retried, inBulk, applications]) await part();
  console.log("typescript: a user's day through the generated client, as promised");
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
