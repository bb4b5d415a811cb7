package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/google/uuid"
)

const (
	mark  = "STREAMSPACE_SESSION_ID="
	ready = 5 * time.Second // until a page has to answer
)

// Session is what session.json holds: what is written there before acting is what the next run finds after a kill -9.
type Session struct {
	Generation int64  `json:"generation"`
	State      string `json:"state"`
	Port       int    `json:"port"`
	gone       bool
	newest     int64
	cut        context.CancelFunc // ends the start that is under way
	turn       sync.Mutex         // one command at a time
}

// Sessions are those of this host: each is a small web server, a process of its own that outlives the controller.
type Sessions struct {
	sync.Mutex
	all     map[string]*Session // deleted ones stay, to know a late command by its generation
	state   string
	limit   int
	worldID string
}

func openSessions(state string, limit int) (*Sessions, error) {
	s := &Sessions{all: map[string]*Session{}, state: state, limit: limit}
	if err := os.MkdirAll(filepath.Join(state, "sessions"), 0o700); err != nil {
		return nil, err
	}
	world, err := os.ReadFile(filepath.Join(state, "world"))
	if err != nil {
		world = []byte(uuid.NewString())
		err = replace(filepath.Join(state, "world"), world)
	}
	s.worldID = string(world)
	files, _ := filepath.Glob(filepath.Join(state, "sessions", "*", "session.json"))
	for _, file := range files {
		one := &Session{}
		if text, err := os.ReadFile(file); err != nil || json.Unmarshal(text, one) != nil {
			return nil, fmt.Errorf("%s cannot be read: %w", file, err)
		}
		s.all[filepath.Base(filepath.Dir(file))] = one
	}
	return s, err
}

// Arrive enters a command before it waits: a newer generation ends the start of an older one at once.
func (s *Sessions) Arrive(id string, generation int64) *Session {
	s.Lock()
	defer s.Unlock()
	one := s.all[id]
	if one == nil {
		s.forget()
		one = &Session{State: "deleted", gone: true}
		s.all[id] = one
	}
	if generation > one.newest && one.cut != nil {
		one.cut()
	}
	one.newest = max(one.newest, generation)
	return one
}

// Ensure makes one session match. Twice is once; an older generation changes nothing.
func (s *Sessions) Ensure(one *Session, id, goal string, command Command) *Failure {
	if command.Generation < one.Generation {
		return nil
	}
	if goal == "running" {
		return s.run(one, id, command)
	}
	end(id)
	if goal == "deleted" {
		s.set(one, func() { one.Generation, one.State, one.gone = command.Generation, "deleted", true })
		return failure(os.RemoveAll(s.folder(id)))
	}
	s.set(one, func() { one.Generation, one.State, one.gone = command.Generation, goal, false })
	return failure(s.store(one, id))
}

func (s *Sessions) run(one *Session, id string, command Command) *Failure {
	health := command.Template.Spec.Webapp.HealthCheck
	if health == "" {
		health = "/"
	}
	if !strings.HasPrefix(health, "/") {
		return &Failure{"bad_template", fmt.Sprintf("spec.webapp.healthCheck: must begin with \"/\", not %q", health), false, true}
	}
	if one.State != "running" && s.Running() >= s.limit {
		return &Failure{"no_capacity", fmt.Sprintf("all %d places are taken", s.limit), true, false}
	}
	waits, cut := context.WithTimeout(context.Background(), ready)
	defer cut()
	s.set(one, func() {
		one.Generation, one.gone, one.cut = command.Generation, false, cut
		if one.Port == 0 {
			one.Port, one.State = freePort(), "failed"
		}
		if one.newest > command.Generation {
			cut() // a newer command came before
		}
	})
	if err := s.store(one, id); err != nil {
		return failure(err)
	}
	if len(processes()[id]) == 0 {
		page := exec.Command("/proc/self/exe", "page", strconv.Itoa(one.Port), filepath.Join(s.folder(id), "home"))
		page.Env, page.SysProcAttr = []string{mark + id}, &syscall.SysProcAttr{Setsid: true}
		if err := page.Start(); err != nil {
			return failure(err)
		}
		go page.Wait() // or it stays a zombie
	}
	for !answers(waits, fmt.Sprintf("http://127.0.0.1:%d%s", one.Port, health)) {
		if waits.Err() != nil {
			end(id)
			return &Failure{"not_ready", fmt.Sprintf("the page did not answer %s within %s", health, ready), true, false}
		}
		time.Sleep(50 * time.Millisecond)
	}
	s.set(one, func() { one.State, one.cut = "running", nil })
	return failure(s.store(one, id))
}
