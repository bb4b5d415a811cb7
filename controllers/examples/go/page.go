package main

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
)

// servePage is what a session runs: a page, and at /notes a text that is kept in the session's home. Any other path is missing.
func servePage(port, home string) error {
	notes := filepath.Join(home, "notes.txt")
	http.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "A session.\n") })
	http.HandleFunc("GET /notes", func(w http.ResponseWriter, _ *http.Request) {
		text, _ := os.ReadFile(notes) // nothing was written yet
		w.Write(text)
	})
	http.HandleFunc("PUT /notes", func(w http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
		if err == nil {
			err = os.WriteFile(notes, text, 0o600)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	return http.ListenAndServe("127.0.0.1:"+port, nil)
}
