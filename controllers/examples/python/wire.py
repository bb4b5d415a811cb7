"""The wire: who this controller is, how it publishes in each lane, and how it pulls in the durable one."""
import asyncio, datetime, json, os, uuid

import nats

ENV = os.environ
ID, PLATFORM = ENV.get("CONTROLLER_ID", "python-1"), ENV.get("CONTROLLER_PLATFORM", "python")
DURABLE, OWN, INSTANCE = ENV.get("CONTROLLER_LANE") != "core", f"{PLATFORM}.{ID}", str(uuid.uuid4())
NEXT = f"$JS.API.CONSUMER.MSG.NEXT.SS_COMMANDS.{PLATFORM}_{ID}"
AT_ONCE, PULL, PROGRESS = 256, 4, 5  # commands in hand; seconds of one pull, and between two signs of life


def stamped(**fields):
    return {"event_id": str(uuid.uuid4()), "timestamp": datetime.datetime.now(datetime.timezone.utc).isoformat(), **fields}


async def publish(nc, name, body):
    """A report is published until it is stored, always with its id, so that it counts once."""
    data = json.dumps(body).encode()
    if not DURABLE:
        return await nc.publish(f"streamspace.{name}", data)
    while True:
        try:
            return await nc.jetstream().publish(f"streamspace.{name}.{OWN}", data, headers={"Nats-Msg-Id": body["event_id"]})
        except (nats.errors.Error, nats.js.errors.Error):
            await asyncio.sleep(1)


async def park(nc, subject, data, why):
    await nc.jetstream().publish(f"streamspace.dlq.{subject}", data, headers={"Streamspace-Error": str(why)})


async def keep_alive(message):
    """What takes long is not delivered again meanwhile."""
    while True:
        await asyncio.sleep(PROGRESS)
        await message.in_progress()


async def pull(nc, in_hand, handle):
    """The consumer has one active client, so that a standby may wait: the server pins it, and names the pin in the first message."""
    pin = None
    while not asyncio.current_task().cancelling():
        inbox = nc.new_inbox()
        replies = await nc.subscribe(inbox)
        request = {"batch": max(1, AT_ONCE - len(in_hand)), "expires": PULL * 10**9, "group": "active"}
        await nc.publish(NEXT, json.dumps(request | ({"id": pin} if pin else {})).encode(), reply=inbox)
        try:
            while True:
                message = await replies.next_msg(PULL + 1)
                headers = message.headers or {}
                if "Status" in headers:  # nothing came in time; the pin is another's (423); there is no consumer (503)
                    pin = None if headers["Status"] == "423" else pin
                    await asyncio.sleep(0.5 if headers["Status"] in ("423", "503") else 0)
                    break
                pin = headers.get("Nats-Pin-Id", pin)
                handle(message.subject, message.data, message)
        except nats.errors.TimeoutError:
            pass
        await replies.unsubscribe()
