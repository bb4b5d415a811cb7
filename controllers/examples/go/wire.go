package main

import (
	"context"
	"encoding/json"
	"errors"
	"log"
	"maps"
	"os"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	pageSize = 200 // sessions in one page of the inventory
	atOnce   = 256 // commands in hand
)

func connect(sessions *Sessions) (*Controller, error) {
	nc, err := nats.Connect(os.Getenv("NATS_URL"), nats.UserInfo(os.Getenv("NATS_USER"), os.Getenv("NATS_PASSWORD")), nats.MaxReconnects(-1))
	if err != nil {
		return nil, err
	}
	js, err := jetstream.New(nc)
	return &Controller{nc: nc, js: js, sessions: sessions}, err
}

// publish tries until the report is stored, always with its id, so that it counts once.
func (c *Controller) publish(name string, body map[string]any) {
	body["event_id"], body["timestamp"] = uuid.NewString(), time.Now().UTC()
	data, _ := json.Marshal(body) // plain data: it always can be written
	for {
		_, err := c.js.Publish(context.Background(), "streamspace."+name+"."+own, data, jetstream.WithMsgID(body["event_id"].(string)))
		if err == nil {
			return
		}
		log.Print("a report was not stored, and is sent again: ", err)
		time.Sleep(time.Second)
	}
}

func (c *Controller) report(status map[string]any, command *Command) {
	c.publish("session.status", reported(status, command))
}

func reported(status map[string]any, command *Command) map[string]any {
	maps.Copy(status, map[string]any{"controller_id": id, "instance_id": instance})
	if command != nil {
		status["causation_id"], status["attempt"] = command.EventID, command.Attempt
	}
	return status
}

// park keeps what cannot be read for people.
func (c *Controller) park(message jetstream.Msg, why error) {
	dead := nats.NewMsg("streamspace.dlq." + message.Subject())
	dead.Data = message.Data()
	dead.Header.Set("Streamspace-Error", errors.Join(errors.New("undecodable"), why).Error())
	if _, err := c.js.PublishMsg(context.Background(), dead); err == nil {
		message.Term()
	}
}

// tellInventory lists everything, in pages: what is in none does not exist.
func (c *Controller) tellInventory(syncID string) {
	c.telling.Lock()
	defer c.telling.Unlock()
	ids, from := c.sessions.IDs(), uuid.Nil.String()
	for part := 0; part == 0 || part*pageSize < len(ids); part++ {
		page := ids[part*pageSize : min(len(ids), (part+1)*pageSize)]
		last, span := (part+1)*pageSize >= len(ids), map[string]any{"from": from}
		if !last {
			from = ids[(part+1)*pageSize]
			span["until"] = from
		}
		sessions := []map[string]any{}
		for _, sid := range page {
			one := reported(c.sessions.Status(sid), nil)
			one["event_id"], one["timestamp"] = uuid.NewString(), time.Now().UTC()
			sessions = append(sessions, one)
		}
		c.publish("controller.world", map[string]any{"controller_id": id, "platform": platform, "sync_id": syncID,
			"instance_id": instance, "world_id": c.sessions.worldID, "part": part, "last": last, "span": span, "sessions": sessions})
	}
}

// beat says that this run is alive, and what has died by itself.
func (c *Controller) beat(stopping context.Context, interval time.Duration) {
	for stopping.Err() == nil {
		c.heartbeat("healthy", interval)
		if c.admitted.Load() {
			for _, sid := range c.sessions.Died() {
				status := c.sessions.Status(sid)
				status["error"] = Failure{"process_exited", "its page has ended", true, false}
				c.report(status, nil)
			}
		}
		select {
		case <-stopping.Done():
		case <-time.After(interval):
		}
	}
}

// work waits until it is let in and its consumer was made, tells what exists, and carries out commands until it is told to stop.
func (c *Controller) work(stopping context.Context) {
	consumer, err := c.consumer(stopping)
	for stopping.Err() == nil && (err != nil || !c.admitted.Load()) {
		time.Sleep(200 * time.Millisecond)
		consumer, err = c.consumer(stopping)
	}
	if stopping.Err() != nil {
		return
	}
	c.tellInventory(uuid.NewString())
	c.nc.Subscribe("streamspace.controller.sync."+own, func(message *nats.Msg) {
		var sync struct{ Event_ID string }
		if json.Unmarshal(message.Data, &sync) == nil {
			c.tellInventory(sync.Event_ID)
		}
	})
	// one client is active and pinned by the server, so that a standby may wait
	consuming, err := consumer.Consume(func(message jetstream.Msg) {
		c.begun.Add(1)
		go c.obey(message)
	}, jetstream.PullMaxMessages(atOnce), jetstream.PullExpiry(4*time.Second), jetstream.PullPriorityGroup("active"))
	if err != nil {
		log.Fatal(err)
	}
	<-stopping.Done()
	consuming.Stop()
	finished := make(chan struct{})
	go func() { c.begun.Wait(); close(finished) }()
	select {
	case <-finished:
	case <-time.After(20 * time.Second): // what is not done is delivered again
	}
}

func (c *Controller) consumer(ctx context.Context) (jetstream.Consumer, error) {
	return c.js.Consumer(ctx, "SS_COMMANDS", platform+"_"+id)
}
