package main

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func (s *Sessions) folder(id string) string { return filepath.Join(s.state, "sessions", id) }

func (s *Sessions) set(_ *Session, change func()) {
	s.Lock()
	defer s.Unlock()
	change()
}

func (s *Sessions) store(one *Session, id string) error {
	if err := os.MkdirAll(filepath.Join(s.folder(id), "home"), 0o700); err != nil {
		return err
	}
	text, _ := json.Marshal(one) // plain data: it always can be written
	return replace(filepath.Join(s.folder(id), "session.json"), text)
}

// Status is what a report says about a session.
func (s *Sessions) Status(id string) map[string]any {
	s.Lock()
	defer s.Unlock()
	one := s.all[id]
	status := map[string]any{"session_id": id, "status": one.State, "generation": one.Generation, "pod_name": "page-" + id}
	if one.State == "running" {
		status["url"] = "http://127.0.0.1:" + strconv.Itoa(one.Port) + "/"
	}
	return status
}

// forget makes room where too many deleted ones are remembered: a late command for one of them is undone by the engine.
func (s *Sessions) forget() {
	maps.DeleteFunc(s.all, func(_ string, one *Session) bool {
		unused := len(s.all) > 10_000 && one.gone && one.turn.TryLock()
		if unused {
			one.turn.Unlock()
		}
		return unused
	})
}

// IDs are those of the sessions that exist, sorted.
func (s *Sessions) IDs() []string {
	s.Lock()
	defer s.Unlock()
	return slices.Sorted(func(yield func(string) bool) {
		for id, one := range s.all {
			if !one.gone && !yield(id) {
				return
			}
		}
	})
}

// Running counts the sessions that run.
func (s *Sessions) Running() (count int) {
	s.Lock()
	defer s.Unlock()
	for _, one := range s.all {
		if one.State == "running" {
			count++
		}
	}
	return count
}

// Died names the sessions whose page has ended by itself, each once.
func (s *Sessions) Died() (died []string) {
	s.Lock()
	defer s.Unlock()
	alive := processes() // after the states: what runs by them was started before
	for id, one := range s.all {
		if one.State == "running" && len(alive[id]) == 0 && one.turn.TryLock() {
			one.State = "failed"
			one.turn.Unlock()
			died = append(died, id)
		}
	}
	return died
}

func replace(path string, text []byte) error {
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

func freePort() int {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}

func answers(ctx context.Context, url string) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	answer.Body.Close()
	return answer.StatusCode < 400
}

// processes are pids by session, from the mark in their environment, so that none is lost with a file that would name it.
func processes() map[string][]int {
	found := map[string][]int{}
	files, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, file := range files {
		environ, _ := os.ReadFile(file) // it ended meanwhile, or is another user's
		for _, variable := range bytes.Split(environ, []byte{0}) {
			if id, ok := strings.CutPrefix(string(variable), mark); ok {
				pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
				found[id] = append(found[id], pid)
			}
		}
	}
	return found
}

func end(id string) {
	for pids := processes()[id]; len(pids) > 0; pids = processes()[id] {
		for _, pid := range pids {
			syscall.Kill(pid, syscall.SIGKILL)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func every(interval time.Duration, do func()) (stop func()) {
	ticker, done := time.NewTicker(interval), make(chan struct{})
	go func() {
		for {
			select {
			case <-ticker.C:
				do()
			case <-done:
				return
			}
		}
	}()
	return func() { ticker.Stop(); close(done) }
}

func env(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}
