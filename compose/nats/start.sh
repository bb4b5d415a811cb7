#!/bin/sh
# Writes the configuration of nats-server from the environment, and becomes the server; arguments are passed on to it.
#
# NATS_PASSWORD             of the user `engine`
# NATS_CONTROLLER_PASSWORD  of the user `controller`, which may do no more than the one controller below
# CONTROLLER_PLATFORM, CONTROLLER_ID    that controller
# NATS_STORE_DIR            where JetStream keeps its store (/data)
# NATS_CONF                 where the configuration is written (/tmp/nats.conf); only its owner can read it
#
# In the server's own language an unquoted 12345 is a number, $x a variable and `a b` two words. So each byte of a password is written as
# an escape inside quotes: then all of them are only what they are.
set -eu

fail() {
    echo "nats: $*" >&2
    exit 1
}

quoted() {
    printf '"%s"' "$(printf %s "$1" | od -An -v -tx1 | tr -d ' \n' | sed 's/../\\x&/g')"
}

# name and value of a password
check() {
    [ -n "$2" ] || fail "$1 is empty: set it (in .env, for compose), for example to the output of: openssl rand -hex 24"
    case $2 in
        '$2a$'* | '$2b$'* | '$2x$'* | '$2y$'*)
            fail "$1 looks like a bcrypt hash, and the server would take it for one: choose another that begins otherwise" ;;
    esac
}

engine=${NATS_PASSWORD:-} controller=${NATS_CONTROLLER_PASSWORD:-}
check NATS_PASSWORD "$engine"
check NATS_CONTROLLER_PASSWORD "$controller"
[ "$engine" != "$controller" ] || fail "NATS_PASSWORD and NATS_CONTROLLER_PASSWORD are the same: a controller could be an engine"
platform=${CONTROLLER_PLATFORM:-} id=${CONTROLLER_ID:-}
case $platform in '' | *[!a-z0-9-]*) fail "CONTROLLER_PLATFORM has to be a name of a-z, 0-9 and -, as noop" ;; esac
case $id in '' | *[!A-Za-z0-9-]*) fail "CONTROLLER_ID has to be a name of letters, digits and -, as compose-1" ;; esac

conf=${NATS_CONF:-/tmp/nats.conf}
umask 077
rm -f "$conf"
# fsync is the server's default (every 2 minutes): SQL is the truth, and what JetStream loses is driven again (ARCHITECTURE.md, I7)
cat >"$conf" <<CONF
port: 4222
http_port: 8222
jetstream { store_dir: $(quoted "${NATS_STORE_DIR:-/data}") }
authorization {
  users: [
    {
      user: engine, password: $(quoted "$engine")
      permissions {
        publish { allow: ["streamspace.>", "_INBOX.>", "\$JS.API.>", "\$JS.ACK.>"] }
        subscribe { allow: ["streamspace.>", "_INBOX.engine.>"] }
      }
    }
    {
      # it hears its own commands and questions, speaks in its own name, and parks what it cannot read
      user: controller, password: $(quoted "$controller")
      permissions {
        publish { allow: [
          "streamspace.controller.heartbeat", "streamspace.controller.heartbeat.$platform.$id"
          "streamspace.session.status.$platform.$id", "streamspace.app.status.$platform.$id"
          "streamspace.node.status.$platform.$id", "streamspace.template.create.$platform.$id"
          "streamspace.controller.world.$platform.$id"
          "streamspace.dlq.streamspace.*.*.$platform.$id"
          "\$JS.API.INFO"
          "\$JS.API.CONSUMER.INFO.SS_COMMANDS.${platform}_$id", "\$JS.API.CONSUMER.MSG.NEXT.SS_COMMANDS.${platform}_$id"
          "\$JS.ACK.SS_COMMANDS.${platform}_$id.>"
        ] }
        subscribe { allow: ["_INBOX.controller.$platform.$id.>", "streamspace.controller.*.$platform.$id"] }
        allow_responses: { max: 1, ttl: "1m" }
      }
    }
  ]
}
CONF
exec "${NATS_SERVER:-nats-server}" --config "$conf" "$@"
