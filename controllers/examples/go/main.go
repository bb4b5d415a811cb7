// A StreamSpace controller in Go, in the durable lane.
package main

import (
	"context"
	"encoding/json"
	"log"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Command is as much of a command as this controller needs.
type Command struct {
	EventID    uuid.UUID `json:"event_id"`
	SessionID  uuid.UUID `json:"session_id"`
	Generation int64     `json:"generation"`
	Attempt    int       `json:"attempt"`
	Template   struct {
		Spec struct {
			Webapp struct {
				HealthCheck string `json:"healthCheck"`
			} `json:"webapp"`
		} `json:"spec"`
	} `json:"template"`
}

// Failure is the error of a report; the engine decides whether to try again.
type Failure struct {
	Code      string `json:"code"`
	Message   string `json:"message"`
	Retryable bool   `json:"retryable"`
	UserError bool   `json:"user_error"`
}

func failure(err error) *Failure {
	if err == nil {
		return nil
	}
	return &Failure{"internal", err.Error(), true, false}
}

var (
	id, platform = env("CONTROLLER_ID", "go-1"), env("CONTROLLER_PLATFORM", "go")
	own          = platform + "." + id
	instance     = uuid.NewString()
	goals        = map[string]string{"create": "running", "wake": "running", "hibernate": "hibernated", "delete": "deleted"}
	steps        = map[string]string{"create": "creating", "wake": "waking", "hibernate": "hibernating", "delete": "deleting"}
)

// Controller is one run of this program.
type Controller struct {
	nc       *nats.Conn
	js       jetstream.JetStream
	sessions *Sessions
	admitted atomic.Bool
	telling  sync.Mutex
	begun    sync.WaitGroup // commands
}

func (c *Controller) obey(message jetstream.Msg) {
	defer c.begun.Done()
	var command Command
	verb := strings.Split(message.Subject(), ".")[2]
	err := json.Unmarshal(message.Data(), &command)
	if goals[verb] == "" || err != nil || command.SessionID == uuid.Nil {
		c.park(message, err)
		return
	}
	defer every(5*time.Second, func() { message.InProgress() })() // what takes long is not delivered again meanwhile
	sid := command.SessionID.String()
	one := c.sessions.Arrive(sid, command.Generation)
	one.turn.Lock()
	defer one.turn.Unlock()
	if command.Generation >= one.Generation {
		c.report(map[string]any{"session_id": sid, "status": steps[verb], "generation": command.Generation}, &command)
	}
	status := map[string]any{"session_id": sid, "status": "failed", "generation": command.Generation}
	if failed := c.sessions.Ensure(one, sid, goals[verb], command); failed != nil {
		status["error"] = failed
	} else {
		status = c.sessions.Status(sid)
	}
	c.report(status, &command)
	message.Ack() // only now: a command whose report was lost with this process comes again
}

func (c *Controller) heartbeat(health string, interval time.Duration) {
	beat, _ := json.Marshal(map[string]any{"controller_id": id, "platform": platform, "timestamp": time.Now().UTC(), "status": health,
		"version": "1.0.0", "capabilities": []string{"sessions", "keeps-files"}, "protocol": 2, "instance_id": instance,
		"world_id": c.sessions.worldID, "interval_seconds": max(1, int(interval.Seconds())),
		"capacity": map[string]int{"sessions_max": c.sessions.limit, "sessions": c.sessions.Running()}})
	answer := struct {
		Accepted bool
		Reason   string
	}{Accepted: true} // where no engine is there to refuse it
	if reply, err := c.nc.Request("streamspace.controller.heartbeat."+own, beat, time.Second); err == nil {
		json.Unmarshal(reply.Data, &answer)
	}
	if !answer.Accepted && c.admitted.Load() {
		log.Fatal("another host has this id: ", answer.Reason)
	}
	c.admitted.Store(answer.Accepted)
}

func main() {
	if len(os.Args) == 4 && os.Args[1] == "page" {
		log.Fatal(servePage(os.Args[2], os.Args[3]))
	}
	interval, err := time.ParseDuration(env("HEARTBEAT_INTERVAL", "10s"))
	limit, wrong := strconv.Atoi(env("SESSIONS_MAX", "200"))
	if err != nil || wrong != nil {
		log.Fatal("HEARTBEAT_INTERVAL or SESSIONS_MAX: ", err, wrong)
	}
	sessions, err := openSessions(env("STATE_DIR", "./state"), limit)
	if err != nil {
		log.Fatal(err)
	}
	c, err := connect(sessions)
	if err != nil {
		log.Fatal(err)
	}
	stopping, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	go c.beat(stopping, interval)
	c.work(stopping)
	c.heartbeat("unhealthy", interval)
	c.nc.Close()
}
