"""The sessions of this host: each is a small web server (page.py), a process of its own that outlives the controller.

A session's folder in STATE_DIR holds session.json (generation, state, port) and home/. What is written there before acting is what
the next run finds after a kill -9.
"""
import asyncio, json, os, shutil, signal, socket, subprocess, sys, urllib.request, uuid
from pathlib import Path

ENV, STATE, PAGE = os.environ, Path(os.environ.get("STATE_DIR", "./state")), Path(__file__).with_name("page.py")
MARK = b"STREAMSPACE_SESSION_ID="
READY = 5.0  # seconds that a page may take until it answers


class Failed(Exception):
    def __init__(self, code, message, retryable=True, user_error=False):
        self.error = {"code": code, "message": message, "retryable": retryable, "user_error": user_error}


class Bounded(dict):
    """Forgets the oldest of many: what a late command may do then is found and undone by the engine."""

    def __setitem__(self, key, value):
        super().__setitem__(key, value)
        if len(self) > 10_000:
            del self[next(iter(self))]


class Sessions:
    def __init__(self):
        (STATE / "sessions").mkdir(parents=True, exist_ok=True)
        world = STATE / "world"
        if not world.exists():
            save(world, str(uuid.uuid4()))
        self.world_id, self.gone, self.locks, self.newest = world.read_text(), Bounded(), Bounded(), Bounded()
        self.all = {f.parent.name: json.loads(f.read_text()) for f in STATE.glob("sessions/*/session.json")}

    def died(self):
        """Sessions whose page has ended by itself, each once."""
        alive = processes()
        for sid, one in self.all.items():
            if one["state"] == "running" and sid not in alive and not self.lock(sid).locked():
                self.store(sid, state="failed")
                yield sid

    def store(self, sid, **changes):
        self.all.setdefault(sid, {"generation": 0, "state": "deleted"}).update(changes)
        (STATE / "sessions" / sid / "home").mkdir(parents=True, exist_ok=True)
        save(STATE / "sessions" / sid / "session.json", json.dumps(self.all[sid]))

    def status(self, sid):
        one = self.all.get(sid) or {"generation": self.generation(sid), "state": "deleted"}
        url = f"http://127.0.0.1:{one['port']}/" if one["state"] == "running" else None
        return {"session_id": sid, "status": one["state"], "generation": one["generation"], "url": url, "pod_name": f"page-{sid}"}

    def lock(self, sid):
        if sid not in self.locks:
            self.locks[sid] = asyncio.Lock()
        return self.locks[sid]

    def generation(self, sid):
        return self.all[sid]["generation"] if sid in self.all else self.gone.get(sid, 0)

    async def ensure(self, sid, goal, command, limit):
        """Makes one session match, and answers what it is then. Twice is once; an older generation changes nothing."""
        generation = command.get("generation", 0)
        self.newest[sid] = max(generation, self.newest.get(sid, 0))
        async with self.lock(sid):
            if generation < self.generation(sid):
                return self.status(sid)
            if goal == "running":
                await self.run(sid, command, generation, limit)
            else:
                await self.end(sid)
                self.store(sid, generation=generation, state=goal)
            if goal == "deleted":
                shutil.rmtree(STATE / "sessions" / sid)
                self.gone[sid] = self.all.pop(sid)["generation"]
            return self.status(sid)

    async def run(self, sid, command, generation, limit):
        health = command["template"]["spec"].get("webapp", {}).get("healthCheck", "/")
        if not health.startswith("/"):
            raise Failed("bad_template", f"spec.webapp.healthCheck: must begin with \"/\", not {health!r}", False, True)
        if sum(one["state"] == "running" for other, one in self.all.items() if other != sid) >= limit:
            raise Failed("no_capacity", f"all {limit} places are taken")
        one = self.all.get(sid, {})
        self.store(sid, generation=generation, state=one.get("state", "failed"), port=one.get("port") or free_port())
        port = self.all[sid]["port"]
        if sid not in processes():
            environment = {"PATH": ENV.get("PATH", ""), "STREAMSPACE_SESSION_ID": sid}
            subprocess.Popen([sys.executable, PAGE, str(port), STATE / "sessions" / sid / "home"], env=environment,
                             start_new_session=True, stdin=subprocess.DEVNULL)
        deadline = asyncio.get_running_loop().time() + READY
        while not await asyncio.to_thread(answers, f"http://127.0.0.1:{port}{health}"):
            if self.newest[sid] > generation or asyncio.get_running_loop().time() > deadline:
                await self.end(sid)
                raise Failed("not_ready", f"the page did not answer {health} within {READY} s")
            await asyncio.sleep(0.05)
        self.store(sid, state="running")

    async def end(self, sid):
        while pids := processes().get(sid):
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
            await asyncio.sleep(0.01)


def save(path, text):
    fresh = path.with_suffix(".new")
    fresh.write_text(text)
    fresh.replace(path)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def answers(url):
    try:
        return urllib.request.urlopen(url, timeout=1).status < 400
    except OSError:
        return False


def processes():
    """Pids by session, from the mark in their environment, so that none is lost with a file that would name it."""
    found = {}
    for environ in Path("/proc").glob("[0-9]*/environ"):
        try:
            for mark in environ.read_bytes().split(b"\0"):
                if mark.startswith(MARK):
                    found.setdefault(mark.removeprefix(MARK).decode(), []).append(int(environ.parent.name))
        except OSError:
            pass  # it ended meanwhile, or is another user's
    return found
