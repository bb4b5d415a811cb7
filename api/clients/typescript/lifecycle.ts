// A user's day through the generated TypeScript client, on a running server: STREAMSPACE_URL and STREAMSPACE_TOKEN.
import { strict as assert } from "node:assert";
import { randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import * as api from "./client";
import type { Problem, Session } from "./client";
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

  const first = await watched(`entity=${entity}&after=0`, 3);
  assert.deepEqual(first.map((item) => item.data.entity_seq), [1, 2, 3]);
  assert.match(first[0]?.data.subject ?? "", /^streamspace\.session\.create(\.|$)/);
  assert.ok(first.every((item) => item.data.entity === entity && item.data.id === item.id));
  const next = await watched(`entity=${entity}&after=${first[0]?.id}`, 2);
  assert.deepEqual(next, first.slice(1));
}

type Watched = { id: string; data: api.FeedItem };

/** The first items of the feed, which has no end: it is read with `fetch` and left. */
async function watched(query: string, count: number): Promise<Watched[]> {
  const leave = new AbortController();
  const deadline = setTimeout(() => leave.abort(new Error(`no ${count} items within a minute`)), 60_000);
  const answer = await fetch(`${server}/api/v1/stream?${query}`, { headers: { Authorization: `Bearer ${token}` }, signal: leave.signal });
  assert.equal(answer.status, 200);
  assert.equal(answer.headers.get("content-type"), "text/event-stream");
  assert.ok(answer.body);
  const items: Watched[] = [];
  let text = "";
  const decoder = new TextDecoder();
  for await (const chunk of answer.body as unknown as AsyncIterable<Uint8Array>) {
    const frames = (text + decoder.decode(chunk, { stream: true })).split("\n\n");
    text = frames.pop() ?? "";
    for (const frame of frames) {
      const fields = Object.fromEntries(frame.split("\n").map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 2)]));
      assert.equal(fields.event, undefined, `cut: ${frame}`);
      if (fields.id && fields.data) items.push({ id: fields.id, data: JSON.parse(fields.data) });
    }
    if (items.length >= count) break;
  }
  clearTimeout(deadline);
  leave.abort();
  return items.slice(0, count);
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
