package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"twilio-sts/config"
	"twilio-sts/exchange/exchangetest"
)

// TestServeWithShadow serves one exchange with a candidate beside it, and reads
// at the end what would have changed.
func TestServeWithShadow(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	key := exchangetest.NewKey(t, "ES256", "k1")
	keys, err := json.Marshal(map[string]any{"keys": []any{key.JWK()}})
	if err != nil {
		t.Fatal(err)
	}
	live := strings.Replace(diffConfig, "version: 1\n", "version: 1\nserver: {listen: \"127.0.0.1:0\", admin_listen: \"\"}\n", 1)
	files := map[string]string{
		"keys.json": string(keys),
		"live.yaml": live + `
  - name: agents
    when: "'agents' in claims.groups"
    ttl: 5h
    grants: {video: {room: lobby}}
`,
		"new.yaml": diffConfig + `
  - name: agents
    when: "'agents' in claims.groups"
    ttl: 4h
    grants: {video: {room: "${escape(claims.sub)}"}}
`,
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	getenv := func(name string) (string, bool) {
		if name != "ANY" {
			return "", false
		}
		return "ASecretOfTheseTestsAlone00000001", true
	}
	candidate, err := config.Load(filepath.Join(dir, "new.yaml"), config.Options{Getenv: getenv})
	if err != nil {
		t.Fatal(err)
	}

	now := time.Unix(1_780_000_000, 0)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	events, stderr := io.Pipe()
	var stdout bytes.Buffer
	p := &program{getenv: getenv, stdout: &stdout, stderr: stderr, now: func() time.Time { return now }}
	code := make(chan int, 1)
	go func() {
		code <- p.run(ctx, []string{"serve", "--config", filepath.Join(dir, "live.yaml"), "--shadow", filepath.Join(dir, "new.yaml")})
		stderr.Close()
	}()

	var got []string
	decoder := json.NewDecoder(events)
	for {
		var event map[string]any
		if err := decoder.Decode(&event); err != nil {
			break
		}
		delete(event, "time")
		delete(event, "trace_id")
		if address, ok := event["address"].(string); ok {
			delete(event, "address")
			delete(event, "config")
			go postToken(t, "http://"+address+"/token", key.Token(map[string]any{
				"iss": "https://idp.example.com", "sub": "auth0|1", "aud": "app", "iat": now.Unix(), "exp": now.Unix() + 3600, "groups": []any{"agents"},
			}), stop)
		}
		line, err := json.Marshal(event)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(line))
	}
	want := []string{
		`{"admin":"off","level":"INFO","msg":"serving"}`,
		`{"level":"INFO","msg":"comparing","shadow":"` + candidate.Hash + `"}`,
		`{"changes":["narrows ttl","widens video.room"],"issuer":"idp","level":"INFO","live":"granted","msg":"shadow differs","shadow":"granted","suppressed":0,"widens":true}`,
		`{"config":"` + candidate.Hash + `","different":1,"dropped":0,"failed":0,"level":"INFO","msg":"shadow so far","seen":1,"widened":1}`,
	}
	if got, want := strings.Join(got, "\n"), strings.Join(want, "\n"); got != want {
		t.Errorf("the events are\n%s\nwant\n%s", got, want)
	}
	if c := <-code; c != exitFine {
		t.Errorf("exit code %d", c)
	}
}

// postToken exchanges an ID token and stops the service.
func postToken(t *testing.T, url, token string, stop func()) {
	defer stop()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, nil)
	if err != nil {
		t.Error(err)
		return
	}
	r.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Error(err)
		return
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("%s: %s, %v", resp.Status, body, err)
	}
}
