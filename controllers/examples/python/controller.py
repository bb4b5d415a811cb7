"""A StreamSpace controller in Python, in both lanes: CONTROLLER_LANE=durable (the default) or core."""
import asyncio, json, os, signal, uuid

import nats

from sessions import Failed, Sessions
from wire import DURABLE, ENV, ID, INSTANCE, OWN, PLATFORM, keep_alive, park, publish, pull, stamped

INTERVAL = float(os.environ.get("HEARTBEAT_INTERVAL", "10s").rstrip("s"))
LIMIT = int(os.environ.get("SESSIONS_MAX", "200"))
GOALS = {"create": "running", "wake": "running", "hibernate": "hibernated", "delete": "deleted"}
STEPS = {"create": "creating", "wake": "waking", "hibernate": "hibernating", "delete": "deleting"}
PAGE_SIZE = 200  # sessions in one page of the inventory


class Controller:
    def __init__(self, nc):
        self.nc, self.sessions = nc, Sessions()
        self.tasks = set()  # commands that were begun
        self.admitted, self.telling = asyncio.Event(), asyncio.Lock()

    def begin(self, subject, data, message=None):
        task = asyncio.create_task(self.obey(subject, data, message))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def status(self, status, command=None):
        cause = {"causation_id": command["event_id"], "attempt": command.get("attempt", 1)} if command else {}
        return stamped(**status, **cause, controller_id=ID, instance_id=INSTANCE)

    async def beat(self, health="healthy"):
        running = sum(one["state"] == "running" for one in self.sessions.all.values())
        beat = {"controller_id": ID, "platform": PLATFORM, "timestamp": stamped()["timestamp"], "status": health, "version": "1.0.0",
                "capabilities": ["sessions", "keeps-files"], "capacity": {"sessions_max": LIMIT, "sessions": running}}
        if DURABLE:
            beat |= {"protocol": 2, "instance_id": INSTANCE, "world_id": self.sessions.world_id, "interval_seconds": max(1, int(INTERVAL))}
        try:
            subject = "streamspace.controller.heartbeat" + (f".{OWN}" if DURABLE else "")
            answer = json.loads((await self.nc.request(subject, json.dumps(beat).encode(), timeout=1)).data)
        except nats.errors.Error:
            answer = {"accepted": True}  # no engine is there to refuse it
        if answer["accepted"]:
            self.admitted.set()
        elif self.admitted.is_set():
            raise SystemExit(f"another host has this id: {answer.get('reason')}")

    async def tell_inventory(self, sync_id):
        async with self.telling:
            ids = sorted(self.sessions.all)
            pages = [ids[at:at + PAGE_SIZE] for at in range(0, len(ids), PAGE_SIZE)] or [[]]
            starts = [str(uuid.UUID(int=0))] + [page[0] for page in pages[1:]]
            for part, page in enumerate(pages):
                last = part + 1 == len(pages)
                span = {"from": starts[part]} | ({} if last else {"until": starts[part + 1]})
                await publish(self.nc, "controller.world", stamped(controller_id=ID, platform=PLATFORM, sync_id=sync_id,
                    instance_id=INSTANCE, world_id=self.sessions.world_id, part=part, last=last, span=span,
                    sessions=[self.status(self.sessions.status(sid)) for sid in page]))

    async def obey(self, subject, data, message=None):
        """One command: announce, make it so, report, and only then acknowledge."""
        try:
            command = json.loads(data)
            verb, sid = subject.split(".")[2], str(uuid.UUID(command["session_id"]))
            goal, event_id, generation = GOALS[verb], command["event_id"], command.get("generation", 0)
        except (ValueError, KeyError, TypeError) as error:
            if message:
                await park(self.nc, subject, data, error)
                await message.term()
            return
        alive = asyncio.create_task(keep_alive(message)) if message else None
        if generation >= self.sessions.generation(sid):
            await publish(self.nc, "session.status", self.status({"session_id": sid, "status": STEPS[verb], "generation": generation}, command))
        try:
            done = await self.sessions.ensure(sid, goal, command, LIMIT)
        except Exception as error:  # a report too: the engine decides whether to try again
            code = error.error if isinstance(error, Failed) else {"code": "internal", "message": repr(error), "retryable": True}
            done = {"session_id": sid, "status": "failed", "generation": generation, "error": code}
        await publish(self.nc, "session.status", self.status(done, command))
        if message:
            alive.cancel()
            await message.ack()

    async def sync(self, message):
        await self.tell_inventory(json.loads(message.data)["event_id"])

    async def core(self, message):
        self.begin(message.subject, message.data)

    async def beats(self):
        while True:
            await self.beat()
            for sid in list(self.sessions.died()) if self.admitted.is_set() else ():
                error = {"code": "process_exited", "message": "its page has ended", "retryable": True}
                await publish(self.nc, "session.status", self.status(self.sessions.status(sid) | {"error": error}))
            await asyncio.sleep(INTERVAL)

    async def run(self):
        async with asyncio.TaskGroup() as group:
            group.create_task(self.beats())
            await self.admitted.wait()
            if not DURABLE:
                await self.nc.subscribe(f"streamspace.session.*.{PLATFORM}", cb=self.core)
                return
            await self.tell_inventory(str(uuid.uuid4()))
            await self.nc.subscribe(f"streamspace.controller.sync.{OWN}", cb=self.sync)
            group.create_task(pull(self.nc, self.tasks, self.begin))


async def main():
    nc = await nats.connect(ENV["NATS_URL"], user=ENV.get("NATS_USER"), password=ENV.get("NATS_PASSWORD"), max_reconnect_attempts=-1)
    controller = Controller(nc)
    running = asyncio.create_task(controller.run())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.cancel)
    try:
        await running
    except asyncio.CancelledError:  # what was begun is finished; what was not is delivered again
        if controller.tasks:
            await asyncio.wait(controller.tasks, timeout=20)
        await controller.beat("unhealthy")
        await nc.close()

asyncio.run(main())
