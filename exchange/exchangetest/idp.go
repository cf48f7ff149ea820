// Package exchangetest has what tests of the exchange need of the world: an
// identity provider with keys of every algorithm and switches for its bad days,
// and a forge for tokens that no provider would make.
package exchangetest

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// An IdP is an OpenID provider on loopback. It counts what it is asked, and
// answers as it is told.
type IdP struct {
	URL string // the issuer

	mu         sync.Mutex
	keys       []any // JWKs
	answer     http.HandlerFunc
	header     http.Header
	fetches    int
	discovered int
	fetched    chan struct{} // closed at the next fetch
}

// NewIdP starts a provider that publishes the given keys.
func NewIdP(t testing.TB, keys ...*Key) *IdP {
	t.Helper()
	idp := &IdP{header: http.Header{}, fetched: make(chan struct{})}
	idp.Publish(keys...)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		idp.mu.Lock()
		idp.discovered++
		answer := idp.answer
		idp.mu.Unlock()
		if answer != nil {
			answer(w, nil)
			return
		}
		writeJSON(w, map[string]any{"issuer": idp.URL, "jwks_uri": idp.URL + "/jwks"})
	})
	mux.HandleFunc("GET /jwks", func(w http.ResponseWriter, r *http.Request) {
		idp.mu.Lock()
		idp.fetches++
		answer, keys := idp.answer, idp.keys
		for name, values := range idp.header {
			w.Header()[name] = values
		}
		idp.mu.Unlock()
		if answer != nil {
			answer(w, r)
		} else {
			writeJSON(w, map[string]any{"keys": keys})
		}
		idp.mu.Lock()
		close(idp.fetched)
		idp.fetched = make(chan struct{})
		idp.mu.Unlock()
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	idp.URL = server.URL
	return idp
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(v); err != nil {
		return // the client has gone
	}
}

// Publish replaces the keys that the provider publishes.
func (i *IdP) Publish(keys ...*Key) {
	jwks := make([]any, len(keys))
	for n, k := range keys {
		jwks[n] = k.JWK()
	}
	i.PublishJWKs(jwks...)
}

// PublishJWKs replaces the keys by anything that can be written as JSON.
func (i *IdP) PublishJWKs(jwks ...any) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys = jwks
}

// Answer makes the provider answer everything by h; nil makes it well again.
func (i *IdP) Answer(h http.HandlerFunc) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.answer = h
}

// Header sets a header of the key set's answers.
func (i *IdP) Header(name, value string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.header.Set(name, value)
}

// Fetches returns how often the key set was asked for.
func (i *IdP) Fetches() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.fetches
}

// Discoveries returns how often the discovery document was asked for.
func (i *IdP) Discoveries() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.discovered
}

// AwaitFetch waits until the key set has been asked for n times in all.
func (i *IdP) AwaitFetch(t testing.TB, n int) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	for {
		i.mu.Lock()
		fetches, next := i.fetches, i.fetched
		i.mu.Unlock()
		if fetches >= n {
			return
		}
		select {
		case <-next:
		case <-deadline:
			t.Fatalf("the key set was fetched %d times, want %d", fetches, n)
		}
	}
}

// The bad days of a provider, for Answer.

// Down answers 503.
func Down(w http.ResponseWriter, _ *http.Request) {
	http.Error(w, "secret-upstream-text", http.StatusServiceUnavailable)
}

// Text answers 200 with a text.
func Text(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, text) }
}

// Huge answers with a key set of 100 MB.
func Huge(w http.ResponseWriter, _ *http.Request) { writeHuge(w, 100) }

func writeHuge(w io.Writer, megabytes int) {
	io.WriteString(w, `{"keys":[`)
	chunk := strings.Repeat(" ", 1<<20)
	for range megabytes {
		if _, err := io.WriteString(w, chunk); err != nil {
			return
		}
	}
	io.WriteString(w, `]}`)
}

// GzipBomb answers with a small text that unpacks to one of 8 MB.
func GzipBomb(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Encoding", "gzip")
	w.Write(bomb())
}

// bomb is made once: packing it takes time.
var bomb = sync.OnceValue(func() []byte {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	writeHuge(z, 8) // into memory
	z.Close()
	return packed.Bytes()
})

// Redirect leads elsewhere.
func Redirect(to string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", to)
		w.WriteHeader(http.StatusFound)
	}
}

// Hang answers nothing until the client has gone.
func Hang(_ http.ResponseWriter, r *http.Request) {
	if r != nil {
		<-r.Context().Done()
	}
}
